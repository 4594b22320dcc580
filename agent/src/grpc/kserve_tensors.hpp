#pragma once

// Open Inference Protocol tensors ⇄ ours, with the protocol's rules: either every input uses
// raw_input_contents, in order, or none does; FP16 and BF16 have no typed form. What lies in shared
// memory (Triton's extension) has neither.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "skerry/common/result.hpp"
#include "skerry/runtime/request.hpp"

#include "inference/grpc_predict_v2.pb.h"

namespace skerry::agent {

// Where a tensor lies in a region of shared memory.
struct SharedPlace {
  std::string region;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;

  friend bool operator==(const SharedPlace&, const SharedPlace&) = default;
};
using OipParameters = google::protobuf::Map<std::string, ::inference::InferParameter>;

// What the parameters shared_memory_region, …_offset and …_byte_size of a tensor say; none without
// the first. kInvalidArgument if one has another type or the size is missing.
Result<std::optional<SharedPlace>> shared_place(const OipParameters& parameters);

// Bytes of the inputs that lie in shared memory, by index.
using SharedInputs = std::map<int, std::string>;

// kInvalidArgument names the input and the rule that it breaks.
Result<std::vector<runtime::Tensor>> tensors_of(const ::inference::ModelInferRequest& request,
                                                SharedInputs shared = {});

// Where outputs were written to, by name; `bytes` is what was written.
using PlacedOutputs = std::map<std::string, SharedPlace>;

// Fills `response` in raw form if the request was raw, in typed form otherwise (raw where there is
// no typed form). With an output in shared memory the form is raw, with an empty entry for it, so
// that the others keep their places; its parameters say where it is.
void fill_outputs(const std::vector<runtime::Tensor>& outputs,
                  bool raw,
                  ::inference::ModelInferResponse* response,
                  const PlacedOutputs& placed = {});

}  // namespace skerry::agent
