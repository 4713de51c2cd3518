//! `--sample`: where a run may read a share of the rows, and how that is said.

use windlass_engine::{Engine, Plan, Sample, Sampling};
use windlass_error::Code;
use windlass_project::{Project, Target};

use crate::refusal::Refusal;

/// Refuses a sample in environments that others rely on: those that are protected, and the one that the target itself
/// names where it stands on no other.
pub(crate) fn permit(sample: Option<Sample>, target: &Target) -> Result<(), Refusal> {
    let Some(sample) = sample else { return Ok(()) };
    let env = &target.env;
    let refused = |what: String| {
        let refusal =
            Refusal::new(format!("environment `{env}` {what}, so no sample is built there")).code(Code::SAMPLE);
        refusal.hint(format!("build it in an environment of its own: windlass run -e NAME --sample {sample}"))
    };
    if target.is_protected(env) {
        return Err(refused("is protected".to_owned()));
    }
    if *env == target.own_env && target.base.is_none() {
        return Err(refused(format!("is the one that target `{}` names", target.name)));
    }
    Ok(())
}

/// Refuses a sample in an environment that others stand on: they would read it.
pub(crate) async fn permit_above(sample: Option<Sample>, target: &Target, engine: &Engine) -> anyhow::Result<()> {
    if sample.is_none() {
        return Ok(());
    }
    let above = engine.environments_above(&target.env).await?;
    if above.is_empty() {
        return Ok(());
    }
    let message =
        format!("environment `{}` is the base of {}, which would read the sample", target.env, above.join(", "));
    Err(Refusal::new(message).code(Code::SAMPLE).hint("name another environment with -e").into())
}

/// Says which sources are read in part: `sample 1% of nyc.flights by tailnum; all rows of nyc.planes`.
pub(crate) fn told(sample: Sample, project: &Project, plan: &Plan) -> String {
    let Sampling { sampled, whole } = Sampling::of(project, plan);
    let of = |(source, key): &(String, Vec<String>)| format!("{source} by {}", key.join(", "));
    let mut text = match sampled.is_empty() {
        true => format!("sample {sample}"),
        false => format!("sample {sample} of {}", sampled.iter().map(of).collect::<Vec<_>>().join(" and ")),
    };
    if !whole.is_empty() {
        text.push_str(&format!("; all rows of {}", whole.join(", ")));
    }
    text
}
