//! The one function that decides.

use super::rule::{ArchivedProject, BotUse, Feature, Needs, Openness, rule};
use super::{Action, Role, ScopeSet, Visibility};

/// What kind of user stands behind a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerKind {
    /// A person.
    Person,
    /// The bot of a project's or a group's access token.
    Bot,
}

/// Who is asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody we know: no credential was presented.
    Anonymous,
    /// A living credential was presented.
    Known(Known),
}

/// What is known about the caller apart from any resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Person or bot.
    pub kind: CallerKind,
    /// Whether the person administers the instance. Never true of a bot.
    pub administrator: bool,
    /// Whether the user is external: internal projects are closed to it. A bot always counts as external.
    pub external: bool,
    /// What the credential was given.
    pub scopes: ScopeSet,
}

/// Who may use a part of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureAccess {
    /// Nobody.
    Disabled,
    /// Members only, whatever the project's visibility.
    Private,
    /// Everyone who can see the project.
    Enabled,
}

impl FeatureAccess {
    /// Returns the word used by the API and the database.
    pub fn name(self) -> &'static str {
        match self {
            FeatureAccess::Disabled => "disabled",
            FeatureAccess::Private => "private",
            FeatureAccess::Enabled => "enabled",
        }
    }

    /// Returns what `word` means.
    pub fn from_name(word: &str) -> Option<FeatureAccess> {
        match word {
            "disabled" => Some(FeatureAccess::Disabled),
            "private" => Some(FeatureAccess::Private),
            "enabled" => Some(FeatureAccess::Enabled),
            _ => None,
        }
    }
}

/// What matters about a project or group, together with the caller's role on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceFacts {
    /// Who can see it.
    pub visibility: Visibility,
    /// The caller's highest living role on it, inherited ones included.
    pub role: Option<Role>,
    /// Whether it is archived.
    pub archived: bool,
    /// Who may use its Git repository.
    pub repository: FeatureAccess,
    /// Who may use its issue tracker.
    pub issues: FeatureAccess,
    /// Who may use its merge requests.
    pub merge_requests: FeatureAccess,
    /// Who may use its container registry.
    pub container_registry: FeatureAccess,
    /// Who may use its packages.
    pub packages: FeatureAccess,
}

impl ResourceFacts {
    /// Returns who may use a part of it.
    pub fn feature(&self, feature: Feature) -> FeatureAccess {
        match feature {
            Feature::Repository => self.repository,
            Feature::Issues => self.issues,
            Feature::MergeRequests => self.merge_requests,
            Feature::ContainerRegistry => self.container_registry,
            Feature::Packages => self.packages,
        }
    }
}

/// What an action is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facts {
    /// The instance.
    Instance,
    /// A project or group; `None` when there is none, which takes the very branch of a hidden one.
    Resource(Option<ResourceFacts>),
}

/// The first thing that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// A credential is needed and none was presented.
    SignInFirst,
    /// The token holds none of these scopes.
    MissingScope(ScopeSet),
    /// Only an administrator may.
    AdministratorsOnly,
    /// Only a person of this organisation may: not an external user.
    InsidersOnly,
    /// There is no such project or group, or the caller may not know of it.
    NotVisible,
    /// A bot may never do this.
    NotForBots,
    /// The caller's role is too low.
    RoleTooLow(Role),
    /// This part of the project is turned off.
    FeatureOff(Feature),
    /// The project is archived.
    Archived,
}

/// Returns whether `caller` may do `action`, or the first thing that is missing.
///
/// The order is GitLab's, and part of the contract: the scope is judged before anything is looked up, so a token
/// with the wrong scope learns nothing about what exists; what does not exist takes the branch of what is hidden.
pub fn decide(caller: &Caller, facts: &Facts, action: Action) -> Result<(), Denial> {
    let rule = rule(action);
    let known = match caller {
        Caller::Anonymous if !rule.may_be_anonymous() => return Err(Denial::SignInFirst),
        Caller::Anonymous => None,
        Caller::Known(known) if !known.scopes.intersects(rule.scopes) => {
            return Err(Denial::MissingScope(rule.scopes));
        }
        Caller::Known(known) => Some(known),
    };
    let administrator = known.is_some_and(|known| known.administrator && known.kind == CallerKind::Person);
    let bot = known.is_some_and(|known| known.kind == CallerKind::Bot);

    let resource = match facts {
        Facts::Instance => None,
        Facts::Resource(None) => return Err(Denial::NotVisible),
        Facts::Resource(Some(resource)) => {
            let visible = administrator
                || resource.role.is_some()
                || match resource.visibility {
                    Visibility::Public => true,
                    Visibility::Internal => known.is_some_and(|known| !known.external) && !bot,
                    Visibility::Private => false,
                };
            if !visible {
                return Err(Denial::NotVisible);
            }
            Some(resource)
        }
    };

    if bot && rule.bots == BotUse::Never {
        return Err(Denial::NotForBots);
    }

    match rule.needs {
        Needs::Nothing => {}
        Needs::SignIn => {
            if known.is_none() {
                return Err(Denial::SignInFirst);
            }
        }
        Needs::InsidePerson => match known {
            None => return Err(Denial::SignInFirst),
            Some(known) if known.external && !administrator => return Err(Denial::InsidersOnly),
            Some(_) => {}
        },
        Needs::Administrator => {
            if !administrator {
                return Err(Denial::AdministratorsOnly);
            }
        }
        Needs::Role(needed) => {
            // A role without a resource cannot be had: refuse, whatever called us.
            let Some(resource) = resource else { return Err(Denial::NotVisible) };
            let access = rule.feature.map_or(FeatureAccess::Enabled, |feature| resource.feature(feature));
            let open = access == FeatureAccess::Enabled
                && match rule.open_to {
                    Openness::Members => false,
                    Openness::SignedIn => known.is_some() && !bot,
                    Openness::Anyone => true,
                }
                // A private project is open to nobody: who sees it has a role in it, and that is what counts.
                && resource.visibility != Visibility::Private;
            let enough = administrator || open || resource.role.is_some_and(|role| role >= needed);
            if !enough {
                return Err(if known.is_none() { Denial::SignInFirst } else { Denial::RoleTooLow(needed) });
            }
            if let (Some(feature), FeatureAccess::Disabled) = (rule.feature, access) {
                return Err(Denial::FeatureOff(feature));
            }
            if resource.archived && rule.archived == ArchivedProject::Refuses {
                return Err(Denial::Archived);
            }
        }
    }
    Ok(())
}
