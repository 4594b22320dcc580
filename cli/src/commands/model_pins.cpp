// skerry model pin|unpin: what garbage collection leaves alone although nothing runs it.

#include <fmt/format.h>

#include "commands.hpp"
#include "imports.hpp"
#include "invocation.hpp"
#include "message_json.hpp"
#include "model_commands.hpp"

namespace skerry::cli {
namespace {

struct PinOptions {
  std::string model;
  std::string variant;
  std::string reason;
};

Result<int> print_pins(Invocation& invocation, const Result<imports::CatalogueModel>& model) {
  if (!model) {
    return model.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*model));
    return kExitDone;
  }
  const std::string name = fmt::format("{}:{}", model->name(), model->version());
  if (model->pins_size() == 0) {
    invocation.console.line(printable(name + " is not pinned"));
  }
  for (const auto& pin : model->pins()) {
    invocation.console.line(printable(
        fmt::format("{} is pinned{}: {}",
                    name,
                    pin.variant().empty() ? "" : fmt::format(", variant {}", pin.variant()),
                    pin.reason())));
  }
  return kExitDone;
}

Result<int> run_model_pin(Invocation& invocation, const PinOptions& options) {
  imports::PinModelRequest request;
  request.set_model(registry_reference(options.model));
  request.set_variant(options.variant);
  request.set_reason(options.reason);
  return print_pins(invocation, call_imports(invocation, request));
}

Result<int> run_model_unpin(Invocation& invocation, const PinOptions& options) {
  imports::UnpinModelRequest request;
  request.set_model(registry_reference(options.model));
  request.set_variant(options.variant);
  return print_pins(invocation, call_imports(invocation, request));
}

}  // namespace

void add_model_pins(Command& model, Invocation& invocation) {
  const auto reference = "team/name[:version], or the manifest's digest";
  Command* pin = model.add_subcommand(
      "pin", "keep a signed model from garbage collection although nothing runs it");
  const auto options = add_action<PinOptions>(pin, invocation, run_model_pin);
  pin->add_option("model", options->model, reference)->required();
  pin->add_option("--variant", options->variant, "this variant alone");
  pin->add_option("--reason", options->reason, "why, for who asks `skerry registry gc --dry-run`");
  Command* unpin = model.add_subcommand("unpin", "let garbage collection have it again");
  const auto unpin_options = add_action<PinOptions>(unpin, invocation, run_model_unpin);
  unpin->add_option("model", unpin_options->model, reference)->required();
  unpin->add_option("--variant", unpin_options->variant, "the variant that was pinned");
}

}  // namespace skerry::cli
