// skerry models list|show|load|unload: what apps can use on this gateway.

#include <fmt/format.h>

#include "skerry/models/v1/models.grpc.pb.h"

#include "commands.hpp"
#include "invocation.hpp"
#include "message_json.hpp"
#include "remote.hpp"

namespace skerry::cli {
namespace {

namespace models = ::skerry::models::v1;
using ModelStub = models::ModelService::Stub;

Result<int> run_models_list(Invocation& invocation, const NoOptions& /*options*/) {
  const auto response =
      call_socket(invocation.api_socket, &ModelStub::ListModels, models::ListModelsRequest{});
  if (!response) {
    return response.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*response));
    return kExitDone;
  }
  Table table{{"model", "version", "variant", "slot", "state", "size", "loaded", "runtime", "why"}};
  for (const auto& model : response->models()) {
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

void print_one_model(Console& console, const models::Model& model) {
  console.line(fmt::format("{} {} {}", model.name(), model.version(), model.variant()));
  console.line(fmt::format("slot      {}, {}", model.slot(), model.state()));
  console.line(fmt::format("runtime   {}, {}, {}",
                           model.runtime(),
                           human_bytes(model.size_bytes()),
                           model.loaded() ? "loaded" : "not loaded"));
  if (model.context_length() > 0) {
    console.line(fmt::format("context   {} tokens", model.context_length()));
  }
  console.line("manifest  " + model.manifest_digest());
  for (const auto& prompt : model.pinned_prompts()) {
    console.line(fmt::format("pinned    {}: {}, {} tokens{}",
                             printable(prompt.name()),
                             prompt.state(),
                             prompt.tokens(),
                             prompt.problem().empty() ? "" : ": " + printable(prompt.problem())));
  }
}

Result<int> run_model_show(Invocation& invocation, const ModelOption& options) {
  models::GetModelRequest request;
  request.set_model(options.model);
  const auto response = call_socket(invocation.api_socket, &ModelStub::GetModel, request);
  if (!response) {
    return response.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*response));
  } else {
    print_one_model(invocation.console, *response);
  }
  return kExitDone;
}

Result<int> run_load(Invocation& invocation, const ModelOption& options) {
  models::LoadModelRequest request;
  request.set_model(options.model);
  models::LoadProgress last;
  const auto show = [&](const models::LoadProgress& progress) -> Result<void> {
    constexpr std::uint64_t kSteps = 1000;
    invocation.console.progress(
        progress.phase(), static_cast<std::uint64_t>(progress.fraction() * kSteps), kSteps);
    last = progress;
    return {};
  };
  const Result<void> loaded = read_socket(
      invocation.api_socket, &ModelStub::LoadModel, request, show, std::chrono::minutes{10});
  invocation.console.finish_progress();
  if (!loaded) {
    return loaded.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(last));
  } else {
    invocation.console.line(fmt::format("{} is loaded", options.model));
  }
  return kExitDone;
}

Result<int> run_unload(Invocation& invocation, const ModelOption& options) {
  models::UnloadModelRequest request;
  request.set_model(options.model);
  const auto response =
      call_socket(invocation.api_socket, &ModelStub::UnloadModel, request, std::chrono::minutes{1});
  if (!response) {
    return response.error();
  }
  invocation.console.line(options.model +
                          (response->was_loaded() ? " is unloaded" : " was not loaded"));
  return kExitDone;
}

}  // namespace

void add_models_command(Command& app, Invocation& invocation) {
  Command* command = app.add_subcommand("models", "models that apps can use on this gateway");
  command->require_subcommand(1);
  add_action<NoOptions>(
      command->add_subcommand("list", "the models you may see"), invocation, run_models_list);
  Command* show = command->add_subcommand("show", "one model, and the prompts pinned with it");
  const auto show_options = add_action<ModelOption>(show, invocation, run_model_show);
  show->add_option("model", show_options->model, "model reference")->required();
  Command* load = command->add_subcommand("load", "load a model ahead of its first request");
  const auto load_options = add_action<ModelOption>(load, invocation, run_load);
  load->add_option("model", load_options->model, "model reference")->required();
  Command* unload = command->add_subcommand("unload", "stop the worker that holds a model");
  const auto unload_options = add_action<ModelOption>(unload, invocation, run_unload);
  unload->add_option("model", unload_options->model, "model reference")->required();
}

}  // namespace skerry::cli
