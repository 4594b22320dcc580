#pragma once

// Elements of Open Inference Protocol tensors between JSON and bytes. Private to the REST dialect.

#include <string>
#include <string_view>

#include "skerry/common/json.hpp"
#include "skerry/common/result.hpp"

namespace skerry::agent::oip {

// Appends the elements of `data` (flat or nested arrays) in `datatype` to `out`. kInvalidArgument
// says what is wrong, without the tensor's name.
Result<void> pack_elements(const Json& data, std::string_view datatype, std::string& out);

// The elements as a flat JSON array. kFailedPrecondition if JSON has no form for them.
Result<std::string> elements_text(std::string_view data, std::string_view datatype);

}  // namespace skerry::agent::oip
