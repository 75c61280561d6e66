//! What a comparison answers: true or false, as everywhere in answers. SQLite has 1 and 0 for these.

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{BinaryOperator, CaseWhen, Expr, SelectItem, SetExpr, UnaryOperator, Value};

/// Write the conditions among the columns of an answer so that SQLite answers them in words.
pub(super) fn show(set: &mut SetExpr) {
    match set {
        SetExpr::Select(select) => {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expression)
                | SelectItem::ExprWithAlias { expr: expression, .. } = item
                {
                    in_words(expression);
                }
            }
        }
        SetExpr::Query(query) => show(&mut query.body),
        SetExpr::SetOperation { left, right, .. } => {
            show(left);
            show(right);
        }
        SetExpr::Values(values) => {
            values.rows.iter_mut().flat_map(|row| row.content.iter_mut()).for_each(in_words);
        }
        _ => {}
    }
}

fn in_words(expression: &mut Expr) {
    if !is_condition(expression) {
        return;
    }
    let number = |digit: &str| Expr::value(Value::Number(digit.to_owned(), false));
    let word = |word: &str| Expr::value(Value::SingleQuotedString(word.to_owned()));
    let condition = std::mem::replace(expression, number("0"));
    let case = |digit, says| CaseWhen { condition: number(digit), result: word(says) };
    *expression = Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: Some(Box::new(Expr::Nested(Box::new(condition)))),
        conditions: vec![case("1", "true"), case("0", "false")],
        else_result: None,
    };
}

fn is_condition(expression: &Expr) -> bool {
    use BinaryOperator as B;
    match expression {
        Expr::Nested(inner) => is_condition(inner),
        Expr::BinaryOp { op, .. } => {
            matches!(op, B::And | B::Or | B::Gt | B::Lt | B::GtEq | B::LtEq | B::Eq | B::NotEq)
        }
        Expr::UnaryOp { op, .. } => *op == UnaryOperator::Not,
        Expr::Value(value) => matches!(value.value, Value::Boolean(_)),
        Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..)
        | Expr::InList { .. }
        | Expr::InSubquery { .. }
        | Expr::Exists { .. }
        | Expr::Between { .. }
        | Expr::Like { .. } => true,
        _ => false,
    }
}
