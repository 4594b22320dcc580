// skerry infer MODEL --input NAME=FILE: tensors in, tensors out (ONNX models). A tensor file is
// JSON ({"shape": […], "datatype": "FP32", "data": […]}) or raw little-endian numbers with --shape.

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "skerry/cli/tensor_text.hpp"
#include "skerry/inference/v1/inference.grpc.pb.h"

#include "commands.hpp"
#include "invocation.hpp"
#include "message_json.hpp"
#include "remote.hpp"

namespace skerry::cli {
namespace {

namespace inference = ::skerry::inference::v1;

constexpr std::size_t kMaxTensorFile = 64U << 20U;

struct InferOptions {
  std::string model;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::string datatype = "FP32";
  std::vector<std::int64_t> shape;
};

Result<TensorValue> load_input(Invocation& invocation,
                               const InferOptions& options,
                               const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return Error{Error::Code::kInvalidArgument,
                 "--input " + text + ": write it as NAME=FILE, for example window=window.json"};
  }
  const std::filesystem::path path = text.substr(equals + 1);
  auto content = read_file(invocation.fs, path, kMaxTensorFile);
  if (!content) {
    return content.error().with_context("--input " + text);
  }
  const std::string name = text.substr(0, equals);
  if (path.extension() == ".json") {
    auto tensor = parse_tensor(name, *content);
    return tensor ? tensor : tensor.error().with_context(path.string());
  }
  if (options.shape.empty()) {
    return Error{Error::Code::kInvalidArgument,
                 path.string() + " is not JSON: say its --shape (and --datatype)"};
  }
  return TensorValue{name, options.datatype, options.shape, std::move(*content)};
}

Result<int> run_infer(Invocation& invocation, const InferOptions& options) {
  inference::InferRequest request;
  request.set_model(options.model);
  for (const std::string& text : options.inputs) {
    auto tensor = load_input(invocation, options, text);
    if (!tensor) {
      return tensor.error();
    }
    auto* input = request.add_inputs();
    input->set_name(tensor->name);
    input->set_datatype(tensor->datatype);
    for (const std::int64_t extent : tensor->shape) {
      input->add_shape(extent);
    }
    input->set_data(std::move(tensor->data));
  }
  for (const std::string& output : options.outputs) {
    request.add_outputs(output);
  }
  const auto response = call_socket(invocation.api_socket,
                                    &inference::InferenceService::Stub::Infer,
                                    request,
                                    std::chrono::minutes{2});
  if (!response) {
    return response.error();
  }
  Json::Array outputs;
  for (const auto& output : response->outputs()) {
    auto json = tensor_to_json(TensorValue{output.name(),
                                           output.datatype(),
                                           {output.shape().begin(), output.shape().end()},
                                           output.data()});
    if (!json) {
      return json.error().with_context("output " + output.name());
    }
    outputs.push_back(std::move(*json));
  }
  const Json answer{Json::Object{{"model", response->model()},
                                 {"version", response->version()},
                                 {"variant", response->variant()},
                                 {"model_digest", response->model_digest()},
                                 {"outputs", std::move(outputs)}}};
  if (invocation.json) {
    invocation.console.print_json(answer);
  } else {
    for (const Json& output : *answer.find("outputs")->array()) {
      invocation.console.line(output.dump());
    }
  }
  return kExitDone;
}

}  // namespace

void add_infer_command(Command& app, Invocation& invocation) {
  Command* command =
      app.add_subcommand("infer", "give tensors to a model and print what comes out");
  const auto options = add_action<InferOptions>(command, invocation, run_infer);
  command->add_option("model", options->model, "slot, team/name or team/name:version")->required();
  command->add_option("--input", options->inputs, "NAME=FILE, JSON or raw numbers (repeatable)")
      ->required();
  command->add_option("--output", options->outputs, "only these outputs (repeatable)");
  command->add_option("--shape", options->shape, "shape of raw inputs: 1,1,1024")
      ->separated_by(',');
  command->add_option("--datatype", options->datatype, "type of raw inputs")->show_default();
}

}  // namespace skerry::cli
