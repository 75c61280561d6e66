#!/bin/sh
# A RUSTC_WRAPPER: the same source gives the same component wherever the checkout lies.
#
# Cargo derives a crate's symbol hashes (`-C metadata`) from its path. Symbol hashes order the functions of a
# component, so two checkouts would build other bytes of the same version, which a host refuses. Here they follow from
# the names; and so do the paths of source files in messages: `/my_node/src/lib.rs` for those of `my_node`.
#
# Crates below DATANODE_CARGO_HOME come from a registry or from git: their hashes are the same everywhere already.
set -eu

is_local=no
# Each argument goes from the front to the end of the list, so that after one turn their order is as before.
for argument do
    shift
    case $argument in
        metadata=*)
            case $CARGO_MANIFEST_DIR/ in
                "$DATANODE_CARGO_HOME"/*) ;;
                *)
                    is_local=yes
                    argument="metadata=$CARGO_PKG_NAME-$CARGO_PKG_VERSION-$CARGO_CRATE_NAME"
                    ;;
            esac
            ;;
    esac
    set -- "$@" "$argument"
done
if [ "$is_local" = yes ]; then
    # The last that fits wins: the crate's own directory over the workspace's root, where rustc is called.
    set -- "$@" "--remap-path-prefix=$PWD=/workspace" "--remap-path-prefix=$CARGO_MANIFEST_DIR=/$CARGO_PKG_NAME"
fi
exec "$@"
