// SPDX-License-Identifier: MIT
//! What `ps` has written, reduced to the processes of one container, by Docker's rules and in its words. Pure.

use crate::wire::container::Top;

/// Refuses options that call another column `PID`: by that column processes are recognised.
///
/// # Errors
/// Docker's words.
pub(super) fn judge(arguments: &str) -> Result<(), String> {
    // Docker's own expression needs white space in front of the name.
    for word in arguments
        .split_ascii_whitespace()
        .skip(usize::from(!arguments.starts_with([' ', '\t'])))
    {
        if let Some((name, title)) = word.split_once('=')
            && title.starts_with("PID")
            && name != "pid"
        {
            return Err(format!("specifying \"{name}={title}\" is not allowed"));
        }
    }
    Ok(())
}

/// Reads a table and keeps the rows of the processes whose identifiers are given, in order, as text.
///
/// # Errors
/// Docker's words for a table without processes.
pub(super) fn read(output: &str, pids: &[String]) -> Result<Top, String> {
    let mut lines = output.split('\n');
    let titles: Vec<String> = fields(lines.next().unwrap_or_default()).map(str::to_owned).collect();
    let column = titles.iter().position(|title| title == "PID");
    let column = column.ok_or("Couldn't find PID field in ps output")?;
    let mut processes = Vec::new();
    let mut belongs = false;
    for line in lines.filter(|line| !line.is_empty()) {
        let row: Vec<&str> = fields(line).collect();
        let pid = row.get(column).copied().unwrap_or_default();
        // A thread of the process above has a dash.
        if pid != "-" {
            if pid.parse::<u32>().is_err() {
                return Err(format!(
                    "Unexpected pid '{pid}': strconv.Atoi: parsing {pid:?}: invalid syntax"
                ));
            }
            belongs = pids.binary_search_by(|known| known.as_str().cmp(pid)).is_ok();
        }
        if belongs {
            processes.push(merged(&row, titles.len()));
        }
    }
    Ok(Top { processes, titles })
}

fn fields(line: &str) -> impl Iterator<Item = &str> {
    line.split_ascii_whitespace()
}

/// Makes as many fields as there are titles: what hangs over belongs to the last.
fn merged(row: &[&str], titles: usize) -> Vec<String> {
    let (whole, rest) = row.split_at((titles - 1).min(row.len()));
    let mut fields: Vec<String> = whole.iter().map(|field| (*field).to_owned()).collect();
    fields.push(rest.join(" "));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pids(list: &[&str]) -> Vec<String> {
        list.iter().map(|pid| (*pid).to_owned()).collect()
    }

    #[test]
    fn rows_of_the_container() {
        let output =
            "  PID STAT COMMAND\n    1 Ss   init -x\n    - Ssl  -\n   20 S    sh -c a  b\n    - Sl   -\n  200 R\n";
        let top = read(output, &pids(&["20", "200"])).expect("a table");
        assert_eq!(top.titles, ["PID", "STAT", "COMMAND"]);
        assert_eq!(
            top.processes,
            [vec!["20", "S", "sh -c a b"], vec!["-", "Sl", "-"], vec!["200", "R", ""]]
        );
        assert_eq!(
            read("COMMAND\nsh\n", &[]).err().as_deref(),
            Some("Couldn't find PID field in ps output")
        );
        let error = read("PID\nx\n", &[]).err();
        assert_eq!(
            error.as_deref(),
            Some("Unexpected pid 'x': strconv.Atoi: parsing \"x\": invalid syntax")
        );
        assert!(read("PID\n1\n", &[]).expect("a table").processes.is_empty());
    }

    #[test]
    fn columns_by_the_name_of_another() {
        for (arguments, refused) in [
            ("-ef", None),
            ("-o pid=PID", None),
            ("-o x=PID", Some("specifying \"x=PID\" is not allowed")),
            ("-o pid= -o ppid=PIDX", Some("specifying \"ppid=PIDX\" is not allowed")),
            ("-o pid,args=COMMAND", None),
        ] {
            assert_eq!(judge(arguments).err().as_deref(), refused, "{arguments}");
        }
    }
}
