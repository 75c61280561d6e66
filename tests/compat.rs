//! The protocol of the existing client: by hand, rule by rule; and by that client itself, unmodified (`client/`).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "compat/catalogue.rs"]
mod catalogue;
#[path = "compat/client.rs"]
mod client;
#[path = "compat/http.rs"]
mod http;
#[path = "compat/place.rs"]
mod place;
#[path = "compat/refusals.rs"]
mod refusals;
#[path = "compat/rows.rs"]
mod rows;

use catalogue::{
    a_change_is_made_as_a_whole_or_not_at_all, a_table_is_listed_and_shown_in_both_forms,
    labels_and_shares_come_and_go, lists_are_filtered_as_django_does, searches_find_and_filter,
    tables_are_changed_and_removed, tables_are_registered_under_any_name,
};
use client::the_client_finds_reads_and_changes_tables;
use datanode_tests::on_both_databases;
use refusals::{
    mistakes_are_the_callers, rights_are_asked_for,
    who_registers_what_another_has_registered_meanwhile_is_judged_by_that,
};
use rows::{
    rows_are_read_in_pages_without_a_gap, rows_of_every_type_are_read_from_a_plain_table,
    sql_is_answered_in_an_envelope, tails_are_deleted_in_every_scope,
    the_last_row_of_each_coordinate_is_read,
};

on_both_databases!(
    a_table_is_listed_and_shown_in_both_forms,
    lists_are_filtered_as_django_does,
    tables_are_registered_under_any_name,
    tables_are_changed_and_removed,
    a_change_is_made_as_a_whole_or_not_at_all,
    who_registers_what_another_has_registered_meanwhile_is_judged_by_that,
    rows_are_read_in_pages_without_a_gap,
    rows_of_every_type_are_read_from_a_plain_table,
    the_last_row_of_each_coordinate_is_read,
    tails_are_deleted_in_every_scope,
    sql_is_answered_in_an_envelope,
    labels_and_shares_come_and_go,
    searches_find_and_filter,
    mistakes_are_the_callers,
    rights_are_asked_for,
    the_client_finds_reads_and_changes_tables,
);
