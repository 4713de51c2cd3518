//! Reads stacks as Python prints them: of an exception, and of a process that dies or is out of time.

/// What stands before the frames of a process, the innermost first.
const DUMP: &str = "(most recent call first):";
/// How the thread is marked that ran when the process was asked or died.
const CURRENT: &str = "Current thread ";

/// Returns file and line of each frame of an exception's stack or of a process's dump, the innermost
/// first.
pub(super) fn frames(stack: &str) -> Vec<(String, u32)> {
    match stack.contains(DUMP) {
        true => frames_of_dump(stack),
        false => stack.lines().rev().filter_map(frame).collect(),
    }
}

/// Returns the frames of the thread at work in what a process wrote; none where it wrote no dump.
pub(super) fn frames_of_dump(output: &str) -> Vec<(String, u32)> {
    let current = output.rfind(CURRENT).filter(|at| output[*at..].contains(DUMP));
    let Some(start) = current.or_else(|| output.find(DUMP)) else { return Vec::new() };
    output[start..].lines().skip(1).map_while(frame).collect()
}

/// Reads `File "/project/x.py", line 7, in f`, or `line 7 in f` in a dump.
fn frame(line: &str) -> Option<(String, u32)> {
    let (file, rest) = line.trim_start().strip_prefix("File \"")?.split_once("\", line ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((file.to_string(), digits.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(frames: Vec<(String, u32)>) -> Vec<String> {
        frames.into_iter().map(|(file, line)| format!("{file}:{line}")).collect()
    }

    #[test]
    fn the_innermost_frame_comes_first() {
        let raised = "Traceback (most recent call last):\n  File \"/p/a.py\", line 3, in f\n    g()\n  \
                      File \"/p/lib/b.py\", line 9, in g\n    1 / 0\nZeroDivisionError: division by zero\n";
        assert_eq!(lines(frames(raised)), ["/p/lib/b.py:9", "/p/a.py:3"]);
        assert_eq!(lines(frames_of_dump(raised)), Vec::<String>::new(), "it was printed, and is no dump");
    }

    #[test]
    fn of_a_dump_the_current_thread_counts() {
        let dump = "a line\nFatal Python error: Segmentation fault\n\nThread 0x01 (most recent call first):\n  \
                    File \"/p/wait.py\", line 1 in wait\n\nCurrent thread 0x02 (most recent call first):\n  \
                    File \"/usr/lib/ctypes.py\", line 5 in string_at\n  File \"/p/a.py\", line 12 in <lambda>\n  \
                    File \"/p/a.py\", line 40 in __call__\n\nExtension modules: numpy\n";
        assert_eq!(lines(frames(dump)), ["/usr/lib/ctypes.py:5", "/p/a.py:12", "/p/a.py:40"]);
        assert_eq!(frames(dump), frames_of_dump(dump));
    }
}
