#pragma once

// The parts of `skerry repo`, one file each.

#include "command_line.hpp"
#include "invocation.hpp"

namespace skerry::cli {

// status: versions, ends, who has still to sign.
void add_repo_status(Command& repo, Invocation& invocation);
// delegate, rotate, revoke: who signs for what.
void add_repo_keys(Command& repo, Invocation& invocation);
// revoke-model, restore-model, permit-downgrade, withdraw-permit, revocations: what devices must
// not run, and what they may go back to.
void add_repo_revocations(Command& repo, Invocation& invocation);
// export, import: a staged file that travels to a machine without a network and back.
void add_repo_transfer(Command& repo, Invocation& invocation);

}  // namespace skerry::cli
