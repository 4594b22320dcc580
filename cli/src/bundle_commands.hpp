#pragma once

// The parts of `skerry bundle` that have files of their own.

#include "command_line.hpp"
#include "invocation.hpp"

namespace skerry::cli {

// report: what this gateway did, written onto the stick.
void add_bundle_report(Command& bundle, Invocation& invocation);

}  // namespace skerry::cli
