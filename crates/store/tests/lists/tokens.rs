//! Access tokens.

use std::cmp::{Ordering, Reverse};

use portcullis_rules::access::{Role, ScopeSet};
use portcullis_rules::bot::Home;
use portcullis_rules::secret::TokenDigest;
use portcullis_store::access_tokens::{self, AccessToken, NewAccessToken, TokenFilter, TokenOrder, TokensOf};
use portcullis_store::db::Tx;

use crate::engines::Place;
use crate::world::World;
use crate::{Keep, NOW, PART, WHOLE, kept, part_of, sorted};

pub async fn tokens_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let (hidden, ben, bot) = (world.hidden, world.ben, world.bot);
    // Name, expiry, revocation, last use, creation.
    let tokens = [
        ("deploy", None, None, None, 10),
        ("Backup", Some(NOW + 500), None, Some(40), 30),
        ("archive", Some(NOW), None, Some(60), 20),
        ("50%_off!", None, Some(70), Some(40), 20),
        ("expired", Some(NOW - 500), Some(80), None, 50),
    ];
    for (number, (name, expires_at, revoked_at, last_used_at, created_at)) in (0..).zip(tokens) {
        for (user, project) in [(bot, Some(hidden)), (ben, None)] {
            let new = NewAccessToken {
                user,
                home: project.map(Home::Project),
                digest: TokenDigest([number * 2 + u8::from(project.is_some()); 32]),
                name,
                description: None,
                scopes: ScopeSet::API,
                expires_at,
                previous: None,
                created_by: None,
            };
            let id = access_tokens::insert(&mut tx, &new, created_at).await.unwrap();
            if let Some(at) = revoked_at {
                assert!(access_tokens::revoke(&mut tx, id, at).await.unwrap());
            }
            if let Some(at) = last_used_at {
                access_tokens::touch(&mut tx, id, at, None, at - 1).await.unwrap();
            }
        }
    }
    let key = |token: &AccessToken| token.id.0;
    let list = async |tx: &mut Tx, of, filter: &TokenFilter, window| {
        access_tokens::list(tx, of, filter, window, NOW).await.unwrap()
    };
    let none = TokenFilter::default;
    let of = TokensOf::Home(Home::Project(hidden));
    let everybodys = list(&mut tx, TokensOf::Everybody, &none(), WHOLE).await.items;
    assert_eq!(everybodys.len(), 10);
    kept(of, &list(&mut tx, of, &none(), WHOLE).await, &everybodys, key, |token| {
        token.home == Some(Home::Project(hidden))
    });
    let bens = TokensOf::User(ben);
    kept(bens, &list(&mut tx, bens, &none(), WHOLE).await, &everybodys, key, |token| token.user == ben);

    let all = list(&mut tx, of, &none(), WHOLE).await.items;
    assert!(all.iter().all(|token| token.role == Some(Role::Reporter)));
    part_of(&list(&mut tx, of, &none(), PART).await, &all, key);
    let alive = |token: &AccessToken| {
        token.lifetime.revoked_at.is_none() && token.lifetime.expires_at.is_none_or(|at| at > NOW)
    };
    let cases: Vec<(TokenFilter, Keep<AccessToken>)> = vec![
        (TokenFilter { active: Some(true), ..none() }, Box::new(alive)),
        (TokenFilter { active: Some(false), ..none() }, Box::new(move |token| !alive(token))),
        (
            TokenFilter { revoked: Some(true), ..none() },
            Box::new(|token| token.lifetime.revoked_at.is_some()),
        ),
        (
            TokenFilter { revoked: Some(false), ..none() },
            Box::new(|token| token.lifetime.revoked_at.is_none()),
        ),
        (TokenFilter { created_before: Some(20), ..none() }, Box::new(|token| token.created_at <= 20)),
        (TokenFilter { created_after: Some(20), ..none() }, Box::new(|token| token.created_at >= 20)),
        (
            TokenFilter { last_used_before: Some(40), ..none() },
            Box::new(|token| token.last_used_at.is_some_and(|at| at <= 40)),
        ),
        (
            TokenFilter { last_used_after: Some(41), ..none() },
            Box::new(|token| token.last_used_at.is_some_and(|at| at >= 41)),
        ),
        (
            TokenFilter { expires_before: Some(NOW), ..none() },
            Box::new(|token| token.lifetime.expires_at.is_some_and(|at| at < NOW)),
        ),
        (
            TokenFilter { expires_after: Some(NOW), ..none() },
            Box::new(|token| token.lifetime.expires_at.is_some_and(|at| at >= NOW)),
        ),
        (TokenFilter { search: Some("ACK".to_owned()), ..none() }, Box::new(|token| token.name == "Backup")),
        (TokenFilter { search: Some("%_".to_owned()), ..none() }, Box::new(|token| token.name == "50%_off!")),
    ];
    for (filter, keep) in cases {
        kept(&filter, &list(&mut tx, of, &filter, WHOLE).await, &all, key, keep);
    }

    // What has no time comes last among the times it lacks; only what never expires comes first when the last to expire does.
    let expires = |token: &AccessToken| token.lifetime.expires_at.unwrap_or(i64::MAX);
    let unused = |token: &AccessToken| token.last_used_at.is_none();
    let name = |token: &AccessToken| token.name.to_lowercase();
    type By = Box<dyn Fn(&AccessToken, &AccessToken) -> Ordering>;
    let newest_first = |a: &AccessToken, b: &AccessToken| b.id.cmp(&a.id);
    let orders: Vec<(&str, By)> = vec![
        ("created_asc", Box::new(|a, b| (a.created_at, a.id).cmp(&(b.created_at, b.id)))),
        ("created_desc", Box::new(|a, b| (b.created_at, b.id).cmp(&(a.created_at, a.id)))),
        ("expires_asc", Box::new(move |a, b| expires(a).cmp(&expires(b)).then(newest_first(a, b)))),
        ("expires_desc", Box::new(move |a, b| expires(b).cmp(&expires(a)).then(newest_first(a, b)))),
        (
            "last_used_asc",
            Box::new(move |a, b| {
                (unused(a), a.last_used_at).cmp(&(unused(b), b.last_used_at)).then(newest_first(a, b))
            }),
        ),
        (
            "last_used_desc",
            Box::new(move |a, b| {
                (unused(a), Reverse(a.last_used_at))
                    .cmp(&(unused(b), Reverse(b.last_used_at)))
                    .then(newest_first(a, b))
            }),
        ),
        ("name_asc", Box::new(move |a, b| (name(a), a.id).cmp(&(name(b), b.id)))),
        ("name_desc", Box::new(move |a, b| (name(b), b.id).cmp(&(name(a), a.id)))),
    ];
    for (word, by) in orders {
        let filter = TokenFilter { order: TokenOrder::from_name(word).unwrap(), ..none() };
        sorted(word, &list(&mut tx, of, &filter, WHOLE).await, &all, key, by);
    }

    // The tokens of a deleted user are in no list.
    access_tokens::retire_all_of(&mut tx, bot, NOW).await.unwrap();
    assert_eq!(list(&mut tx, of, &none(), WHOLE).await.total, Some(0));
    assert_eq!(list(&mut tx, TokensOf::Everybody, &none(), WHOLE).await.total, Some(5));
}
