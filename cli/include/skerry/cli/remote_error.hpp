#pragma once

// Turns the status of a call into the `Error` that the daemon or controller meant, so that messages
// and exit codes are the same wherever a command did its work.

#include <string>
#include <string_view>

#include "skerry/common/error.hpp"

namespace skerry::cli {

// `grpc_code` is not OK (0). A message that starts with the stable name of docs/errors.md and ": "
// gives that code; otherwise the code follows from `grpc_code`. `peer` is named where the peer
// could not be reached.
Error remote_error(int grpc_code, std::string_view message, std::string_view peer);

}  // namespace skerry::cli
