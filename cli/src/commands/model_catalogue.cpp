// skerry model list|inspect|activate|remove: the models of this gateway's registry.

#include <fmt/format.h>

#include "skerry/registry/manifest.hpp"

#include "admin.hpp"
#include "commands.hpp"
#include "imports.hpp"
#include "invocation.hpp"
#include "message_json.hpp"
#include "model_commands.hpp"

namespace skerry::cli {
namespace {

std::string joined_names(const google::protobuf::RepeatedPtrField<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    out += (out.empty() ? "" : " ") + name;
  }
  return out.empty() ? "-" : out;
}

// Who vouches now; else who did last.
std::string vouched_by(const imports::CatalogueModel& model) {
  std::string out;
  for (const auto& vouch : model.vouches()) {
    if (vouch.revoked_at_unix_ms() == 0) {
      out += (out.empty() ? "" : ", ") + vouch.who();
    }
  }
  if (out.empty() && model.vouches_size() > 0) {
    out = "revoked by " + model.vouches(model.vouches_size() - 1).revoked_by();
  }
  return out.empty() ? "-" : out;
}

Result<int> run_model_list(Invocation& invocation, const NoOptions& /*options*/) {
  const auto response = call_imports(invocation, imports::ListCatalogueRequest{});
  if (!response) {
    return response.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*response));
    return kExitDone;
  }
  Table table{{"model", "version", "state", "variants", "size", "slots", "from", "vouched by"}};
  for (const auto& model : response->models()) {
    table.add({model.name(),
               model.version(),
               model.state(),
               joined_names(model.variants()),
               human_bytes(model.size_bytes()),
               joined_names(model.slots()),
               model.format().empty() ? "fleet" : model.format() + " " + model.source(),
               vouched_by(model)});
  }
  invocation.console.print(table.text());
  return kExitDone;
}

struct InspectModelOptions {
  std::string model;
};

void print_vouches(Invocation& invocation, const imports::CatalogueModel& model) {
  for (const auto& vouch : model.vouches()) {
    std::string text = fmt::format(
        "  vouch: {} {}, {}", vouch.kind(), vouch.who(), human_time(vouch.at_unix_ms()));
    if (!vouch.reason().empty()) {
      text += ": " + vouch.reason();
    }
    if (vouch.revoked_at_unix_ms() != 0) {
      text += fmt::format(
          "; ended by {}, {}", vouch.revoked_by(), human_time(vouch.revoked_at_unix_ms()));
      text += vouch.revoked_reason().empty() ? "" : ": " + vouch.revoked_reason();
    }
    invocation.console.line(printable(text));
  }
}

Result<int> run_model_inspect(Invocation& invocation, const InspectModelOptions& options) {
  imports::GetManifestRequest request;
  request.set_model(registry_reference(options.model));
  const auto found = call_imports(invocation, request);
  if (!found) {
    return found.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(found->model()));
    return kExitDone;
  }
  const auto manifest = registry::Manifest::parse(found->manifest());
  if (!manifest) {
    return manifest.error();
  }
  const imports::CatalogueModel& model = found->model();
  invocation.console.line(
      printable(fmt::format("{}:{}, {}", model.name(), model.version(), model.state())));
  invocation.console.line("  manifest " + model.manifest_digest());
  if (!model.imported_by().empty()) {
    invocation.console.line(printable(fmt::format("  imported by {}, {}, from {} ({})",
                                                  model.imported_by(),
                                                  human_time(model.imported_at_unix_ms()),
                                                  model.source(),
                                                  model.format())));
  }
  invocation.console.line("  slots: " + joined_names(model.slots()));
  for (const auto& pin : model.pins()) {
    invocation.console.line(printable(fmt::format(
        "  pinned{}: {}", pin.variant().empty() ? "" : " " + pin.variant(), pin.reason())));
  }
  print_vouches(invocation, model);
  Table table{{"part", "role", "file", "size", "digest"}};
  for (const registry::Variant& variant : manifest->variants) {
    for (const registry::ManifestFile& file : variant.files) {
      table.add({variant.name,
                 std::string{registry::to_string(file.role)},
                 file.name,
                 human_bytes(file.size),
                 file.digest.to_string()});
    }
  }
  for (const registry::ManifestFile& file : manifest->shared) {
    table.add({"shared",
               std::string{registry::to_string(file.role)},
               file.name,
               human_bytes(file.size),
               file.digest.to_string()});
  }
  invocation.console.print(table.text());
  if (model.state() == "unsigned" || model.state() == "revoked") {
    invocation.console.line(printable(
        fmt::format("It does not run: skerry model vouch {}:{}", model.name(), model.version())));
  }
  return kExitDone;
}

struct ActivateModelOptions {
  std::string model;
  std::string slot;
};

Result<int> run_model_activate(Invocation& invocation, const ActivateModelOptions& options) {
  imports::ActivateImportRequest request;
  request.set_model(registry_reference(options.model));
  request.set_slot(options.slot);
  const auto slot = call_imports(invocation, request);
  if (!slot) {
    return slot.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*slot));
  } else {
    invocation.console.line(
        printable(fmt::format("slot {}: {}{}, {}",
                              slot->slot(),
                              slot->state(),
                              slot->reason().empty() ? "" : " (" + slot->reason() + ")",
                              model_text(slot->active()))));
  }
  const bool live = slot->state() == "PROBATION" || slot->state() == "COMMITTED";
  return live ? kExitDone : kExitNo;
}

struct RemoveModelOptions {
  std::string model;
};

Result<int> run_model_remove(Invocation& invocation, const RemoveModelOptions& options) {
  imports::RemoveImportRequest request;
  request.set_model(registry_reference(options.model));
  const auto model = call_imports(invocation, request);
  if (!model) {
    return model.error();
  }
  invocation.console.line(fmt::format(
      "{}:{} is forgotten; `skerry registry gc` frees its space", model->name(), model->version()));
  return kExitDone;
}

}  // namespace

void add_model_catalogue(Command& model, Invocation& invocation) {
  add_action<NoOptions>(
      model.add_subcommand("list", "every model of this gateway's registry, signed or imported"),
      invocation,
      run_model_list);
  const auto reference = "local/name[:version], name alone, or the manifest's digest";
  Command* inspect = model.add_subcommand(
      "inspect", "one model of the registry: its files, where it came from, who vouches");
  const auto inspect_options =
      add_action<InspectModelOptions>(inspect, invocation, run_model_inspect);
  inspect->add_option("model", inspect_options->model, reference)->required();
  Command* activate = model.add_subcommand(
      "activate", "make an imported model what a slot runs; exit code 3: it was refused");
  const auto activate_options =
      add_action<ActivateModelOptions>(activate, invocation, run_model_activate);
  activate->add_option("model", activate_options->model, reference)->required();
  activate->add_option("--slot", activate_options->slot, "a slot that no fleet directs")
      ->required();
  Command* remove = model.add_subcommand("remove", "forget an imported model that no slot uses");
  const auto remove_options = add_action<RemoveModelOptions>(remove, invocation, run_model_remove);
  remove->add_option("model", remove_options->model, reference)->required();
}

}  // namespace skerry::cli
