//! What Git says of the two branches of a merge request.

use portcullis_rules::id::ProjectId;
use portcullis_store::merge_requests::Heads;

use crate::Error;
use crate::forge::Forge;

/// Returns what two branches hold.
///
/// # Errors
/// [`Error::Invalid`] for the branch that is not there.
pub(crate) async fn heads(
    forge: &Forge,
    project: ProjectId,
    source: &str,
    target: &str,
) -> Result<Heads, Error> {
    let (git, id) = (forge.git(), project.0);
    let missing = |field: &'static str, branch: &str| {
        let mut fields = crate::error::FieldErrors::default();
        fields.add(field, format!("\"{branch}\" does not exist"));
        fields.finish()
    };
    let (head, start) = (git.find_branch(id, source).await?, git.find_branch(id, target).await?);
    let (head, start) = match (head, start) {
        (Some(head), Some(start)) => (head.tip, start.tip),
        (None, _) => return Err(missing("source_branch", source).err().unwrap_or(Error::NotFound("Branch"))),
        (_, None) => return Err(missing("target_branch", target).err().unwrap_or(Error::NotFound("Branch"))),
    };
    let base = git.merge_bases(id, &[head.clone(), start.clone()], false).await?.into_iter().next();
    Ok(Heads {
        head: head.as_str().to_owned(),
        start: start.as_str().to_owned(),
        base: base.map(|base| base.as_str().to_owned()),
    })
}
