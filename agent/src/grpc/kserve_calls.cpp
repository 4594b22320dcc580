#include "kserve_calls.hpp"

#include <map>
#include <utility>
#include <vector>

#include "skerry/async/offload.hpp"

#include "kserve_tensors.hpp"
#include "kserve_text.hpp"

namespace skerry::agent {
namespace {

using OipRequest = ::inference::ModelInferRequest;
using RegionPtr = SharedRegions::RegionPtr;

// A tensor's part of a region, found before the request runs: it stays usable whatever the client
// unregisters meanwhile.
struct Lent {
  RegionPtr region;
  SharedPlace place;
};

Result<std::optional<Lent>> lent_of(const SharedRegions& regions,
                                    const security::Principal& principal,
                                    const OipParameters& parameters) {
  Result<std::optional<SharedPlace>> place = shared_place(parameters);
  if (!place) {
    return place.error();
  }
  if (!*place) {
    return std::optional<Lent>{};
  }
  Result<RegionPtr> region = regions.find(principal, (*place)->region);
  if (!region) {
    return region.error();
  }
  return std::optional<Lent>{Lent{*std::move(region), **std::move(place)}};
}

Result<std::map<int, Lent>> lent_inputs(const SharedRegions& regions,
                                        const security::Principal& principal,
                                        const OipRequest& request,
                                        std::uint64_t most_bytes) {
  std::map<int, Lent> lent;
  std::uint64_t bytes = 0;
  for (int i = 0; i < request.inputs_size(); ++i) {
    const auto& input = request.inputs(i);
    Result<std::optional<Lent>> one = lent_of(regions, principal, input.parameters());
    if (!one) {
      return one.error().with_context("input \"" + input.name() + "\"");
    }
    if (!*one) {
      continue;
    }
    // They are copied, as if they had been sent.
    if ((*one)->place.bytes > most_bytes - bytes) {
      return Error{Error::Code::kTooLarge,
                   "inputs: more than listen.max_message (" + std::to_string(most_bytes) +
                       " bytes) in shared memory"};
    }
    bytes += (*one)->place.bytes;
    lent.emplace(i, **std::move(one));
  }
  return lent;
}

Result<std::map<std::string, Lent>> lent_outputs(const SharedRegions& regions,
                                                 const security::Principal& principal,
                                                 const OipRequest& request) {
  std::map<std::string, Lent> lent;
  for (const auto& output : request.outputs()) {
    Result<std::optional<Lent>> one = lent_of(regions, principal, output.parameters());
    if (!one) {
      return one.error().with_context("output \"" + output.name() + "\"");
    }
    if (*one) {
      lent.emplace(output.name(), **std::move(one));
    }
  }
  return lent;
}

Result<SharedInputs> read_all(const std::map<int, Lent>& lent) {
  SharedInputs inputs;
  for (const auto& [index, one] : lent) {
    Result<std::string> data = one.region->read(one.place.offset, one.place.bytes);
    if (!data) {
      return data.error();
    }
    inputs.emplace(index, *std::move(data));
  }
  return inputs;
}

// Writes the outputs that have a place and takes their bytes out of the tensors.
Result<PlacedOutputs> write_all(const std::map<std::string, Lent>& lent,
                                std::vector<runtime::Tensor>& outputs) {
  PlacedOutputs placed;
  for (runtime::Tensor& tensor : outputs) {
    const auto found = lent.find(tensor.name);
    if (found == lent.end()) {
      continue;
    }
    SharedPlace place = found->second.place;
    if (tensor.data.size() > place.bytes) {
      return Error{Error::Code::kInvalidArgument,
                   "output \"" + tensor.name + "\": has " + std::to_string(tensor.data.size()) +
                       " bytes, shared_memory_byte_size is " + std::to_string(place.bytes)};
    }
    if (Result<void> written = found->second.region->write(place.offset, tensor.data); !written) {
      return written.error().with_context("output \"" + tensor.name + "\"");
    }
    place.bytes = tensor.data.size();
    tensor.data.clear();
    placed.emplace(tensor.name, std::move(place));
  }
  return placed;
}

}  // namespace

std::string oip_reference(const std::string& name, const std::string& version) {
  if (version.empty() || name.find('/') == std::string::npos ||
      name.find(':') != std::string::npos) {
    return name;
  }
  return name + ":" + version;
}

Task<Result<std::vector<runtime::Tensor>>> KserveCalls::inputs_of(security::Principal principal,
                                                                  const OipRequest* request) {
  Result<std::map<int, Lent>> lent =
      lent_inputs(regions_, principal, *request, core_.settings->listen().max_message.bytes);
  if (!lent) {
    co_return lent.error();
  }
  SharedInputs bytes;
  if (!lent->empty()) {
    auto read = [places = *std::move(lent)] { return read_all(places); };
    Result<SharedInputs> got = co_await async::offload(core_.disk, std::move(read));
    if (!got) {
      co_return got.error();
    }
    bytes = *std::move(got);
  }
  Result<std::vector<runtime::Tensor>> tensors = tensors_of(*request, std::move(bytes));
  co_return tensors;
}

Task<Result<void>> KserveCalls::infer(Caller caller,
                                      CallOptions call,
                                      const OipRequest* request,
                                      ::inference::ModelInferResponse* response) {
  call.reference = oip_reference(request->model_name(), request->model_version());
  Result<std::map<std::string, Lent>> lent = lent_outputs(regions_, caller.principal, *request);
  if (!lent) {
    co_return lent.error();
  }
  Result<std::vector<runtime::Tensor>> inputs = co_await inputs_of(caller.principal, request);
  if (!inputs) {
    co_return inputs.error();
  }
  std::vector<std::string> wanted;
  for (const auto& output : request->outputs()) {
    wanted.push_back(output.name());
  }
  Result<Inference::InferAnswer> answer = co_await inference_.infer(
      std::move(caller), std::move(call), *std::move(inputs), std::move(wanted));
  if (!answer) {
    co_return answer.error();
  }
  std::vector<runtime::Tensor> outputs = std::move(answer->tensors.outputs);
  PlacedOutputs placed;
  if (!lent->empty()) {
    struct Written {
      std::vector<runtime::Tensor> outputs;
      Result<PlacedOutputs> placed;
    };
    auto write = [places = *std::move(lent), tensors = std::move(outputs)]() mutable {
      Result<PlacedOutputs> done = write_all(places, tensors);
      return Written{std::move(tensors), std::move(done)};
    };
    Written written = co_await async::offload(core_.disk, std::move(write));
    if (!written.placed) {
      co_return written.placed.error();
    }
    placed = *std::move(written.placed);
    outputs = std::move(written.outputs);
  }
  response->set_model_name(request->model_name());
  response->set_model_version(answer->model->version());
  response->set_id(request->id());
  fill_outputs(outputs, request->raw_input_contents_size() > 0, response, placed);
  co_return Result<void>();
}

bool KserveCalls::asks_for_text(const OipRequest& request) const {
  if (!has_text_input(request)) {
    return false;
  }
  // Nothing is told by this: either way the call is decided with the same verb.
  const Result<registry::ModelReference> reference =
      registry::ModelReference::parse(oip_reference(request.model_name(), request.model_version()));
  const Result<ServedModelPtr> model =
      reference ? host_.resolve(*reference) : Result<ServedModelPtr>{reference.error()};
  return !model || (*model)->variant.needs.runtime != "onnx";
}

}  // namespace skerry::agent
