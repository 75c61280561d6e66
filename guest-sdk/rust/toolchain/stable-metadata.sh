#!/bin/sh
# A RUSTC_WORKSPACE_WRAPPER: the same source gives the same component wherever the checkout lies.
#
# Cargo derives a crate's symbol hashes (`-C metadata`) from its path: relative to the workspace's root for members
# below it, absolute for the others, such as the examples. Symbol hashes order the functions of a component, so two
# checkouts would build other bytes of the same version, which a host refuses. Here they follow from the names.
set -eu

# Each argument goes from the front to the end of the list, so that after one turn their order is as before.
for argument do
    shift
    case $argument in
        metadata=*) argument="metadata=$CARGO_PKG_NAME-$CARGO_PKG_VERSION-$CARGO_CRATE_NAME" ;;
    esac
    set -- "$@" "$argument"
done
exec "$@"
