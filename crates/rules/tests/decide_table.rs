//! Every caller × visibility × action, printed as a table and kept as a snapshot, so that a change of policy is a
//! diff that a person who reads no Rust can review.

use portcullis_rules::access::{
    Action, Caller, CallerKind, Denial, Facts, FeatureAccess, Known, On, ResourceFacts, Role, ScopeSet,
    Visibility, decide,
};

fn known(kind: CallerKind, administrator: bool, external: bool, scopes: ScopeSet) -> Caller {
    Caller::Known(Known { kind, administrator, external, scopes })
}

/// Who is asked about. The bot of a group is a bot with its role in that group and everywhere below, and a foreign bot
/// anywhere else; the table makes no difference between it and a project's.
fn callers() -> Vec<(String, Caller, Option<Role>)> {
    let all = ScopeSet::all();
    let mut callers = vec![
        ("nobody".into(), Caller::Anonymous, None),
        ("stranger".into(), known(CallerKind::Person, false, false, all), None),
        ("external".into(), known(CallerKind::Person, false, true, all), None),
        ("foreign bot".into(), known(CallerKind::Bot, false, true, all), None),
    ];
    for role in Role::ALL {
        callers.push((role.name().to_owned(), known(CallerKind::Person, false, false, all), Some(role)));
        callers.push((format!("bot {}", role.name()), known(CallerKind::Bot, false, true, all), Some(role)));
    }
    callers.push(("admin".into(), known(CallerKind::Person, true, false, all), None));
    callers
}

fn resource(visibility: Visibility, role: Option<Role>) -> ResourceFacts {
    ResourceFacts {
        visibility,
        role,
        archived: false,
        repository: FeatureAccess::Enabled,
        issues: FeatureAccess::Enabled,
        container_registry: FeatureAccess::Enabled,
        packages: FeatureAccess::Enabled,
        merge_requests: FeatureAccess::Enabled,
    }
}

fn symbol(answer: Result<(), Denial>) -> &'static str {
    match answer {
        Ok(()) => "yes",
        Err(Denial::SignInFirst) => "sign in",
        Err(Denial::MissingScope(_)) => "scope",
        Err(Denial::AdministratorsOnly) => "admins",
        Err(Denial::InsidersOnly) => "insiders",
        Err(Denial::NotVisible) => "hidden",
        Err(Denial::NotForBots) => "no bots",
        Err(Denial::RoleTooLow(_)) => "role",
        Err(Denial::FeatureOff(_)) => "off",
        Err(Denial::Archived) => "archived",
    }
}

#[test]
fn the_whole_table_is_a_snapshot() {
    let mut text = String::new();
    for visibility in Visibility::ALL {
        text.push_str(&format!("\n# {} resource, token with every scope\n", visibility.name()));
        for action in Action::ALL.iter().filter(|action| action.on() != On::Instance) {
            text.push_str(&format!("{:28}", action.name()));
            for (name, caller, role) in callers() {
                let facts = Facts::Resource(Some(resource(visibility, role)));
                text.push_str(&format!(
                    " {name}={}",
                    symbol(decide(&caller, &facts, *action)).replace(' ', "-")
                ));
            }
            text.push('\n');
        }
    }
    text.push_str("\n# the instance, token with every scope\n");
    for action in Action::ALL.iter().filter(|action| action.on() == On::Instance) {
        text.push_str(&format!("{:28}", action.name()));
        for (name, caller, _) in callers() {
            if !Role::ALL.iter().any(|role| name.ends_with(role.name()))
                || name == "bot Owner"
                || name == "Owner"
            {
                let answer = symbol(decide(&caller, &Facts::Instance, *action)).replace(' ', "-");
                text.push_str(&format!(" {name}={answer}"));
            }
        }
        text.push('\n');
    }
    text.push_str("\n# scopes that permit each action, one alone\n");
    for action in Action::ALL {
        let permitting: Vec<_> = ScopeSet::all()
            .iter()
            .filter(|scope| {
                let caller = known(CallerKind::Person, true, false, *scope);
                let facts = match action.on() {
                    On::Instance => Facts::Instance,
                    _ => Facts::Resource(Some(resource(Visibility::Private, Some(Role::Owner)))),
                };
                decide(&caller, &facts, *action).is_ok()
            })
            .map(ScopeSet::to_text)
            .collect();
        text.push_str(&format!("{:28} {}\n", action.name(), permitting.join(" ")));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_caller_without_scopes_has_no_rights_at_all() {
    for action in Action::ALL {
        for visibility in Visibility::ALL {
            for administrator in [false, true] {
                let caller = known(CallerKind::Person, administrator, false, ScopeSet::empty());
                for facts in [Facts::Instance, Facts::Resource(Some(resource(visibility, Some(Role::Owner))))]
                {
                    assert!(
                        matches!(decide(&caller, &facts, *action), Err(Denial::MissingScope(_))),
                        "{}",
                        action.name()
                    );
                }
            }
        }
    }
}

#[test]
fn missing_and_hidden_are_the_same_answer_for_everyone_who_may_not_see() {
    for action in Action::ALL.iter().filter(|action| action.on() != On::Instance) {
        for (name, caller, role) in callers() {
            if role.is_some() || name == "admin" {
                continue;
            }
            for scopes in ScopeSet::all().iter() {
                let caller = match caller {
                    Caller::Known(known) => Caller::Known(Known { scopes, ..known }),
                    anonymous => anonymous,
                };
                let hidden = Facts::Resource(Some(resource(Visibility::Private, None)));
                assert_eq!(
                    decide(&caller, &hidden, *action),
                    decide(&caller, &Facts::Resource(None), *action),
                    "{name} {}",
                    action.name()
                );
            }
        }
    }
}

#[test]
fn a_bot_elsewhere_may_exactly_what_an_anonymous_visitor_may() {
    let bot = known(CallerKind::Bot, false, false, ScopeSet::all());
    for action in Action::ALL.iter().filter(|action| action.on() != On::Instance) {
        for visibility in Visibility::ALL {
            let facts = Facts::Resource(Some(resource(visibility, None)));
            assert_eq!(
                decide(&bot, &facts, *action).is_ok(),
                decide(&Caller::Anonymous, &facts, *action).is_ok(),
                "{} {}",
                action.name(),
                visibility.name()
            );
        }
    }
}

#[test]
fn more_role_or_more_scopes_never_allow_less() {
    for action in Action::ALL.iter().filter(|action| action.on() != On::Instance) {
        for visibility in Visibility::ALL {
            for kind in [CallerKind::Person, CallerKind::Bot] {
                let mut allowed_before = false;
                for role in std::iter::once(None).chain(Role::ALL.into_iter().map(Some)) {
                    let caller = known(kind, false, true, ScopeSet::all());
                    let allowed =
                        decide(&caller, &Facts::Resource(Some(resource(visibility, role))), *action).is_ok();
                    assert!(allowed || !allowed_before, "{} {role:?}", action.name());
                    allowed_before = allowed;
                }
            }
        }
    }
}

#[test]
fn an_archived_project_or_a_switched_off_part_refuses_what_the_table_says() {
    for action in Action::ALL.iter().filter(|action| action.on() == On::Project) {
        let owner = known(CallerKind::Person, false, false, ScopeSet::all());
        let rule = portcullis_rules::access::rule(*action);
        let archived = ResourceFacts { archived: true, ..resource(Visibility::Private, Some(Role::Owner)) };
        let answer = decide(&owner, &Facts::Resource(Some(archived)), *action);
        let refuses = rule.archived == portcullis_rules::access::ArchivedProject::Refuses;
        assert_eq!(answer == Err(Denial::Archived), refuses, "{}", action.name());
        let off = ResourceFacts {
            repository: FeatureAccess::Disabled,
            issues: FeatureAccess::Disabled,
            container_registry: FeatureAccess::Disabled,
            packages: FeatureAccess::Disabled,
            merge_requests: FeatureAccess::Disabled,
            ..resource(Visibility::Public, Some(Role::Owner))
        };
        let answer = decide(&owner, &Facts::Resource(Some(off)), *action);
        assert_eq!(matches!(answer, Err(Denial::FeatureOff(_))), rule.feature.is_some(), "{}", action.name());
    }
}
