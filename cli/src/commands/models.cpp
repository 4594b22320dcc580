// skerry models list|load|unload: what apps can use on this gateway.

#include <fmt/format.h>

#include "skerry/models/v1/models.grpc.pb.h"

#include "commands.hpp"
#include "invocation.hpp"
#include "message_json.hpp"
#include "remote.hpp"

namespace skerry::cli {
namespace {

namespace models = ::skerry::models::v1;

Result<int> run_models_list(Invocation& invocation, const NoOptions& /*options*/) {
  auto channel = connect_socket(invocation.api_socket);
  if (!channel) {
    return channel.error();
  }
  grpc::ClientContext context;
  set_deadline(context, std::chrono::seconds{30});
  models::ListModelsResponse response;
  const grpc::Status status =
      models::ModelService::NewStub(*channel)->ListModels(&context, {}, &response);
  if (!status.ok()) {
    return to_error(status, invocation.api_socket);
  }
  if (invocation.json) {
    invocation.console.print(to_json(response));
    return kExitDone;
  }
  Table table{{"model", "version", "variant", "slot", "state", "size", "loaded", "runtime", "why"}};
  for (const auto& model : response.models()) {
    table.add({model.name(),
               model.version(),
               model.variant(),
               model.slot(),
               model.state(),
               human_bytes(model.size_bytes()),
               model.loaded() ? "yes" : "no",
               model.runtime(),
               model.variant_reason()});
  }
  invocation.console.print(table.text());
  return kExitDone;
}

struct ModelOption {
  std::string model;
};

Result<int> run_load(Invocation& invocation, const ModelOption& options) {
  auto channel = connect_socket(invocation.api_socket);
  if (!channel) {
    return channel.error();
  }
  grpc::ClientContext context;
  set_deadline(context, std::chrono::minutes{10});
  models::LoadModelRequest request;
  request.set_model(options.model);
  const auto stub = models::ModelService::NewStub(*channel);
  const auto reader = stub->LoadModel(&context, request);
  models::LoadProgress progress;
  constexpr std::uint64_t kSteps = 1000;
  while (reader->Read(&progress)) {
    invocation.console.progress(
        progress.phase(), static_cast<std::uint64_t>(progress.fraction() * kSteps), kSteps);
  }
  invocation.console.finish_progress();
  const grpc::Status status = reader->Finish();
  if (!status.ok()) {
    return to_error(status, invocation.api_socket);
  }
  if (invocation.json) {
    invocation.console.print(to_json(progress));
  } else {
    invocation.console.line(fmt::format("{} is loaded", options.model));
  }
  return kExitDone;
}

Result<int> run_unload(Invocation& invocation, const ModelOption& options) {
  auto channel = connect_socket(invocation.api_socket);
  if (!channel) {
    return channel.error();
  }
  grpc::ClientContext context;
  set_deadline(context, std::chrono::minutes{1});
  models::UnloadModelRequest request;
  request.set_model(options.model);
  models::UnloadModelResponse response;
  const grpc::Status status =
      models::ModelService::NewStub(*channel)->UnloadModel(&context, request, &response);
  if (!status.ok()) {
    return to_error(status, invocation.api_socket);
  }
  invocation.console.line(options.model +
                          (response.was_loaded() ? " is unloaded" : " was not loaded"));
  return kExitDone;
}

}  // namespace

void add_models_command(Command& app, Invocation& invocation) {
  Command* command = app.add_subcommand("models", "models that apps can use on this gateway");
  command->require_subcommand(1);
  add_action<NoOptions>(
      command->add_subcommand("list", "the models you may see"), invocation, run_models_list);
  Command* load = command->add_subcommand("load", "load a model ahead of its first request");
  const auto load_options = add_action<ModelOption>(load, invocation, run_load);
  load->add_option("model", load_options->model, "model reference")->required();
  Command* unload = command->add_subcommand("unload", "stop the worker that holds a model");
  const auto unload_options = add_action<ModelOption>(unload, invocation, run_unload);
  unload->add_option("model", unload_options->model, "model reference")->required();
}

}  // namespace skerry::cli
