use super::*;
use crate::testing::{difference, inputs_of, signatures};
use autoloss_graph::{GenerateConfig, Limits, random_graph};
use egg::{ENodeOrVar, Language, Pattern, PatternAst};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rules::{RULES, VARIABLES};

/// The graph of a pattern with graphs for its variables.
fn instance(pattern: &PatternAst<Term>, parts: &[LossGraph]) -> LossGraph {
    let mut builder = GraphBuilder::new();
    let mut ids: Vec<NodeId> = Vec::new();
    for node in pattern {
        let id = match node {
            ENodeOrVar::Var(var) => {
                let at = VARIABLES.iter().position(|name| *name == var.to_string());
                copy(&mut builder, &parts[at.unwrap()])
            }
            ENodeOrVar::ENode(term) => match term.op() {
                None => builder.one(),
                Some(op) => {
                    let of = |id: &Id| ids[usize::from(*id)];
                    let operands: Vec<NodeId> = term.children().iter().map(of).collect();
                    builder.apply(op, &operands).unwrap()
                }
            },
        };
        ids.push(id);
    }
    builder.finish(*ids.last().unwrap()).unwrap()
}

fn copy(builder: &mut GraphBuilder, graph: &LossGraph) -> NodeId {
    let mut ids: Vec<NodeId> = Vec::new();
    for node in graph.nodes() {
        let operands: Vec<NodeId> = node.operands().map(|id| ids[id.index()]).collect();
        ids.push(match *node {
            Node::One => builder.one(),
            Node::Input(input) => builder.input(input),
            Node::Unary(op, _) => builder.apply(op, &operands).unwrap(),
            Node::Binary(op, ..) => builder.apply(op, &operands).unwrap(),
        });
    }
    *ids.last().unwrap()
}

/// A part for a variable: an input, a typical operand of a condition, or anything small.
fn part(rng: &mut ChaCha8Rng, signature: &Signature) -> LossGraph {
    let last = &signature.inputs()[signature.len() - 1].name;
    let texts = [
        "1".to_owned(),
        "add(1, neg(1))".to_owned(),
        last.clone(),
        format!("mean_nhw({last})"),
        format!("mean_c(tanh({last}))"),
        format!("neg(exp(tanh({last})))"),
        format!("add(1, exp(neg(square({last}))))"),
    ];
    let limits = Limits::default();
    match texts.get(rng.random_range(0..12)) {
        Some(text) => LossGraph::parse(text, signature, &limits).unwrap(),
        None => {
            let depth = rng.random_range(0..=2);
            random_graph(rng, signature, &GenerateConfig { depth }, &limits)
        }
    }
}

#[test]
fn each_rule_keeps_values_and_gradients() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    for rule in RULES {
        let [from, to] =
            [rule.from, rule.to].map(|text| text.parse::<Pattern<Term>>().unwrap().ast);
        let mut held = 0;
        for trial in 0..6000 {
            let signature = &signatures()[trial % 3];
            let parts = [0; 3].map(|_| part(&mut rng, signature));
            let mut egraph = EGraph::new(Domain::of(signature));
            let facts = [0, 1, 2].map(|at: usize| {
                let (id, _) = insert(&parts[at], &mut egraph);
                egraph[id].data
            });
            let variables = VARIABLES.map(|name| rule.from.contains(name));
            let of = |at: usize| if variables[at] { &facts[at] } else { &facts[0] };
            if !(rule.when)(of(0), of(1), of(2)) {
                continue;
            }
            held += 1;
            let (one, other) = (instance(&from, &parts), instance(&to, &parts));
            for inputs in inputs_of(&mut rng, signature) {
                let differs = difference(&one, &other, signature, &inputs);
                let text = one.display(signature).to_string();
                assert_eq!(differs, None, "{}: {text}\n{inputs:?}", rule.name);
            }
            if held == 150 {
                break;
            }
        }
        assert!(held >= 40, "{} was tried {held} times", rule.name);
    }
}
