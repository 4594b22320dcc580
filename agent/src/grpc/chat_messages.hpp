#pragma once

// A conversation as gRPC clients send it, checked as those of the HTTP dialects are. For
// inference_grpc.cpp.

#include <vector>

#include "skerry/common/result.hpp"
#include "skerry/inference/v1/inference.pb.h"
#include "skerry/runtime/request.hpp"

namespace skerry::agent {

// kInvalidArgument names the member: none or too many messages, calls that no assistant made, a
// call's name, arguments that are not the text of a JSON object. No arguments are "{}".
Result<std::vector<runtime::ChatMessage>> chat_messages(
    const skerry::inference::v1::ChatRequest& request);

}  // namespace skerry::agent
