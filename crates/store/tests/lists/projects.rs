//! Projects, and what is read beside a page of them.

use portcullis_rules::access::{FeatureAccess, Role, Visibility};
use portcullis_rules::id::ProjectId;
use portcullis_store::audience::Audience;
use portcullis_store::db::Tx;
use portcullis_store::projects::{self, Project, ProjectFilter, ProjectOrder};

use crate::engines::Place;
use crate::world::World;
use crate::{Keep, NOW, PART, WHOLE, kept, part_of, sorted};

pub async fn projects_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.read().await.unwrap();
    let key = |project: &Project| project.id.0;
    let list = async |tx: &mut Tx, audience, filter: &ProjectFilter, window| {
        projects::list(tx, audience, filter, window, NOW).await.unwrap()
    };
    let none = ProjectFilter::default;
    let all = list(&mut tx, Audience::Everything, &none(), WHOLE).await.items;
    assert_eq!(all.len(), 5);
    part_of(&list(&mut tx, Audience::Everything, &none(), PART).await, &all, key);

    let World { ana, ben, cyd, dee, bot, top, sub, open, inner, archived, hidden, personal, .. } = world;
    let among = |ids: &[ProjectId]| {
        let ids = ids.to_vec();
        Box::new(move |project: &Project| ids.contains(&project.id)) as Keep<Project>
    };
    let search = |text: &str| ProjectFilter { search: Some(text.to_owned()), ..none() };
    let cases: Vec<(ProjectFilter, Keep<Project>)> = vec![
        (ProjectFilter { archived: Some(true), ..none() }, Box::new(|project| project.archived)),
        (ProjectFilter { archived: Some(false), ..none() }, Box::new(|project| !project.archived)),
        (ProjectFilter { visibility: Some(Visibility::Private), ..none() }, among(&[archived, hidden])),
        (search("ZEB"), among(&[open])),
        (search("top/SUB"), among(&[inner, archived])),
        (search("0%_r"), among(&[open])),
        (ProjectFilter { topic: Some("fruit".to_owned()), ..none() }, among(&[inner, archived])),
        (ProjectFilter { topic: Some("red".to_owned()), ..none() }, among(&[inner])),
        (ProjectFilter { member: Some((ana, Role::Guest)), ..none() }, among(&[inner, archived, personal])),
        (ProjectFilter { member: Some((ana, Role::Maintainer)), ..none() }, among(&[personal])),
        (ProjectFilter { member: Some((ben, Role::Guest)), ..none() }, among(&[hidden])),
        (ProjectFilter { owned_by: Some(ana), ..none() }, among(&[personal])),
        (ProjectFilter { owned_by: Some(cyd), ..none() }, among(&[open, inner, archived])),
        (ProjectFilter { namespace: Some(sub), ..none() }, among(&[inner])),
        (ProjectFilter { below: Some(top), ..none() }, among(&[open, inner, archived])),
        (
            ProjectFilter { with_issues: true, ..none() },
            Box::new(|one| one.issues_access != FeatureAccess::Disabled),
        ),
        (ProjectFilter { id_after: Some(inner.0), ..none() }, Box::new(move |project| project.id > inner)),
        (ProjectFilter { id_before: Some(inner.0), ..none() }, Box::new(move |project| project.id < inner)),
    ];
    for (filter, keep) in cases {
        kept(&filter, &list(&mut tx, Audience::Everything, &filter, WHOLE).await, &all, key, keep);
    }
    drop(tx);
    let mut tx = place.db.begin().await.unwrap();
    let (_, robot) = world.add_group_bot(&mut tx, sub, Role::Guest).await;
    for (audience, seen) in [
        (robot, among(&[open, inner, archived, personal])),
        (Audience::Public, among(&[open, personal])),
        (Audience::Bot(bot, hidden), among(&[open, personal, hidden])),
        (world.insider(dee), among(&[open, inner, personal])),
        (world.insider(ana), among(&[open, inner, archived, personal])),
        (world.insider(ben), among(&[open, hidden, personal])),
    ] {
        kept(audience, &list(&mut tx, audience, &none(), WHOLE).await, &all, key, seen);
    }

    type By = fn(&Project) -> (String, i64);
    let orders: [(ProjectOrder, By); 5] = [
        (ProjectOrder::Created, |project| (String::new(), project.created_at)),
        (ProjectOrder::Name, |project| (project.name.to_lowercase(), 0)),
        (ProjectOrder::Path, |project| (project.path.to_lowercase(), 0)),
        (ProjectOrder::Updated, |project| (String::new(), project.updated_at)),
        (ProjectOrder::LastActivity, |project| (String::new(), project.last_activity_at)),
    ];
    for (order, by) in orders {
        let filter = ProjectFilter { order, ascending: true, ..none() };
        let found = list(&mut tx, Audience::Everything, &filter, WHOLE).await;
        sorted(order, &found, &all, key, |a, b| (by(a), a.id).cmp(&(by(b), b.id)));
        let filter = ProjectFilter { order, ascending: false, ..none() };
        let found = list(&mut tx, Audience::Everything, &filter, WHOLE).await;
        sorted(order, &found, &all, key, |a, b| (by(b), b.id).cmp(&(by(a), a.id)));
    }

    // What is read beside a page of projects.
    let ids = [open.0, inner.0, archived.0];
    let topics = projects::topics_of(&mut tx, &ids).await.unwrap();
    let pair = |project: ProjectId, topic: &str| (project.0, topic.to_owned());
    assert_eq!(topics, [pair(inner, "fruit"), pair(inner, "red"), pair(archived, "fruit")]);
    let mut roles = projects::roles_of(&mut tx, ana, &ids, NOW).await.unwrap();
    roles.sort_by_key(|(id, _, _)| *id);
    let developer = Some(Role::Developer);
    assert_eq!(
        roles,
        [(open.0, None, None), (inner.0, Some(Role::Guest), developer), (archived.0, None, developer)]
    );
    assert_eq!(projects::roles_of(&mut tx, ana, &[], NOW).await.unwrap(), []);
}
