//! How a project wants its branches merged, in GitLab's words.

/// What is made when a merge request is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeMethod {
    /// Always a merge commit.
    Merge,
    /// A merge commit, and only of a branch that holds all of the target's commits.
    RebaseMerge,
    /// No merge commit: the target goes forward, and only to a branch that holds all of its commits.
    FastForward,
}

impl MergeMethod {
    /// Returns the method of this name.
    pub fn from_name(word: &str) -> Option<MergeMethod> {
        match word {
            "merge" => Some(MergeMethod::Merge),
            "rebase_merge" => Some(MergeMethod::RebaseMerge),
            "ff" => Some(MergeMethod::FastForward),
            _ => None,
        }
    }

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            MergeMethod::Merge => "merge",
            MergeMethod::RebaseMerge => "rebase_merge",
            MergeMethod::FastForward => "ff",
        }
    }

    /// Returns whether the source branch must hold all commits of the target.
    pub fn needs_linear_history(self) -> bool {
        self != MergeMethod::Merge
    }
}

/// Whether the commits of a merge request become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SquashOption {
    /// Never, whatever is asked for.
    Never,
    /// Always, whatever is asked for.
    Always,
    /// Unless it is asked for not to be.
    DefaultOn,
    /// When it is asked for.
    DefaultOff,
}

impl SquashOption {
    /// Returns the option of this name.
    pub fn from_name(word: &str) -> Option<SquashOption> {
        match word {
            "never" => Some(SquashOption::Never),
            "always" => Some(SquashOption::Always),
            "default_on" => Some(SquashOption::DefaultOn),
            "default_off" => Some(SquashOption::DefaultOff),
            _ => None,
        }
    }

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            SquashOption::Never => "never",
            SquashOption::Always => "always",
            SquashOption::DefaultOn => "default_on",
            SquashOption::DefaultOff => "default_off",
        }
    }

    /// Returns whether commits become one when this was asked for.
    pub fn squashes(self, asked: Option<bool>) -> bool {
        match self {
            SquashOption::Never => false,
            SquashOption::Always => true,
            SquashOption::DefaultOn => asked.unwrap_or(true),
            SquashOption::DefaultOff => asked.unwrap_or(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for method in [MergeMethod::Merge, MergeMethod::RebaseMerge, MergeMethod::FastForward] {
            assert_eq!(MergeMethod::from_name(method.name()), Some(method));
        }
        use SquashOption::{Always, DefaultOff, DefaultOn, Never};
        for option in [Never, Always, DefaultOn, DefaultOff] {
            assert_eq!(SquashOption::from_name(option.name()), Some(option));
        }
        assert_eq!((MergeMethod::from_name("FF"), SquashOption::from_name("")), (None, None));
    }

    #[test]
    fn a_project_can_insist_on_one_commit_or_on_all() {
        use SquashOption::{Always, DefaultOff, DefaultOn, Never};
        for (option, results) in [
            (Never, [false, false, false]),
            (Always, [true, true, true]),
            (DefaultOn, [false, true, true]),
            (DefaultOff, [false, true, false]),
        ] {
            let asked = [Some(false), Some(true), None].map(|asked| option.squashes(asked));
            assert_eq!(asked, results, "{option:?}");
        }
    }
}
