//! Bodies of Git's protocol version 2 (gitprotocol-v2), made once and replayed, and enough of a reader to know that an
//! answer is right.

use anyhow::{Context, bail};

/// Stands in every request where a number may take its place, which the server reads and does not heed.
pub const NUMBER: &str = "0000000000000000";

/// Returns a line as a packet.
fn packet(line: &str) -> String {
    format!("{:04x}{line}", line.len() + 4)
}

fn command(name: &str, arguments: &[String]) -> Vec<u8> {
    let mut body = packet(&format!("command={name}\n"));
    body += &packet(&format!("agent=bench/{NUMBER}"));
    body += &packet("object-format=sha1");
    body += "0001";
    for argument in arguments {
        body += &packet(argument);
    }
    body += "0000";
    body.into_bytes()
}

/// The question for every branch and tag.
pub fn ls_refs() -> Vec<u8> {
    let arguments =
        ["peel\n", "symrefs\n", "ref-prefix HEAD\n", "ref-prefix refs/heads/\n", "ref-prefix refs/tags/\n"];
    command("ls-refs", &arguments.map(str::to_owned))
}

/// The question for what `wants` need beyond `haves`. Progress is off, because it differs from run to run.
pub fn fetch(wants: &[String], haves: &[String]) -> Vec<u8> {
    let mut arguments: Vec<String> =
        ["thin-pack\n", "no-progress\n", "ofs-delta\n"].map(str::to_owned).into_iter().collect();
    arguments.extend(wants.iter().map(|id| format!("want {id}\n")));
    arguments.extend(haves.iter().map(|id| format!("have {id}\n")));
    arguments.push("done\n".to_owned());
    command("fetch", &arguments)
}

/// Returns how many lines an answer to `ls-refs` has.
pub fn count_refs(answer: &[u8]) -> anyhow::Result<usize> {
    let mut count = 0;
    each_packet(answer, |_| {
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

/// Returns how many objects the pack in an answer to `fetch` has, after making sure that the pack is whole as far as its
/// head and its length tell.
pub fn count_objects(answer: &[u8]) -> anyhow::Result<u32> {
    let mut pack = Vec::new();
    let mut begun = false;
    each_packet(answer, |line| {
        match (begun, line.split_first()) {
            (false, _) => begun = line == b"packfile\n",
            (true, Some((1, bytes))) => pack.extend_from_slice(bytes),
            (true, Some((2, _))) => {}
            (true, _) => bail!("the server reports a failure: {}", String::from_utf8_lossy(line)),
        }
        Ok(())
    })?;
    if pack.get(..4) != Some(b"PACK") || pack.len() < 32 {
        bail!("the answer holds no pack");
    }
    let count = pack[8..12].try_into().context("a count has four bytes")?;
    Ok(u32::from_be_bytes(count))
}

fn each_packet(bytes: &[u8], mut read: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut rest = bytes;
    let mut ended = false;
    while !rest.is_empty() {
        let digits = rest.get(..4).and_then(|digits| str::from_utf8(digits).ok());
        let length = digits.and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let length = length.context("the answer is not made of packets")?;
        ended = length == 0;
        if length < 4 {
            rest = &rest[4..];
            continue;
        }
        let packet = rest.get(4..length).context("the answer is cut short")?;
        read(packet)?;
        rest = &rest[length..];
    }
    if !ended {
        bail!("the answer does not end as it should");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_is_counted_through_its_packets() {
        let mut answer = packet("packfile\n").into_bytes();
        let mut pack = b"PACK\0\0\0\x02\0\0\0\x07".to_vec();
        pack.resize(40, 0);
        for part in pack.chunks(11) {
            answer.extend(format!("{:04x}\x01", part.len() + 5).into_bytes());
            answer.extend(part);
        }
        assert!(count_objects(&answer).is_err(), "an answer without its end was taken");
        answer.extend(b"0000");
        assert_eq!(count_objects(&answer).unwrap(), 7);
        assert!(count_objects(&answer[..answer.len() - 9]).is_err());
    }

    #[test]
    fn bodies_are_packets() {
        assert!(ls_refs().starts_with(b"0014command=ls-refs"));
        let body = fetch(&["a".repeat(40)], &["b".repeat(40)]);
        assert!(body.ends_with(b"0009done\n0000"));
        assert!(each_packet(&body, |_| Ok(())).is_ok());
    }
}
