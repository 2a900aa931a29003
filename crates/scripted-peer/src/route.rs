//! One path of the peer: what it names, and the script by which it is answered.

use std::fmt;
use std::sync::Arc;

use crate::answer::Answer;
use crate::log::RecordedRequest;
use crate::representation::Representation;

/// What a path names, and how it is answered.
#[derive(Debug, Default)]
pub(crate) struct Route {
    pub(crate) representation: Option<Arc<Representation>>,
    pub(crate) script: Vec<Line>,
    /// Never used up; they come after the script.
    pub(crate) rules: Vec<Line>,
    /// For every GET that finds nothing in the script, and no rule.
    pub(crate) otherwise: Answer,
}

/// One line of the script, used up by the first GET to which it gives an answer, or a rule.
pub(crate) struct Line(Box<Choice>);

type Choice = dyn Fn(&RecordedRequest) -> Option<Answer> + Send;

impl Route {
    /// Takes the first line that answers this GET off the script.
    pub(crate) fn next_answer(&mut self, request: &RecordedRequest) -> Answer {
        let mut lines = self.script.iter().enumerate();
        match lines.find_map(|(at, line)| Some((at, (line.0)(request)?))) {
            Some((at, answer)) => {
                self.script.remove(at);
                answer
            }
            None => {
                let ruled = self.rules.iter().find_map(|rule| (rule.0)(request));
                ruled.unwrap_or_else(|| self.otherwise.clone())
            }
        }
    }

    /// What the path names now, and from now on if the answer replaces it.
    pub(crate) fn look_up(&mut self, answer: &Answer) -> Option<Arc<Representation>> {
        match &answer.then_serve {
            Some(next) => self.representation.replace(Arc::new(next.clone())),
            None => self.representation.clone(),
        }
    }
}

impl Line {
    pub(crate) fn new(choose: impl Fn(&RecordedRequest) -> Option<Answer> + Send + 'static) -> Self {
        Self(Box::new(choose))
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line(..)")
    }
}
