//! Protected environments: only promotions change their tables, and commands that say so.

use windlass_error::Code;
use windlass_project::Target;

use crate::refusal::Refusal;

/// Refuses to write to a protected environment, unless the user has said that this is meant.
pub(crate) fn permit(target: &Target, command: &str, has_said_so: bool) -> Result<(), Refusal> {
    if has_said_so || !target.is_protected(&target.env) {
        return Ok(());
    }
    let refusal = Refusal::new(format!("environment `{}` is protected", target.env)).code(Code::PROTECTED);
    Err(refusal.hint(format!(
        "build in an environment on top of it, `-e NAME`, and promote that; or say that you mean it: {command} --yes"
    )))
}
