#pragma once

// Protobuf messages as JSON, for --json. Kept apart from remote.hpp, so that commands which only
// print need no gRPC.

#include <string>

namespace google::protobuf {
class Message;
}

namespace skerry::cli {

// Field names as in the .proto, defaults printed.
std::string to_json(const google::protobuf::Message& message);

}  // namespace skerry::cli
