// skerry model import PATH: a model of another tool into this gateway's registry, unsigned.

#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "skerry/cli/import_manifest.hpp"
#include "skerry/registry/import_plan.hpp"

#include "commands.hpp"
#include "imports.hpp"
#include "invocation.hpp"
#include "model_commands.hpp"

namespace skerry::cli {
namespace {

struct ModelImportOptions {
  std::string path;
  std::string from = "auto";
  std::string pick;
  std::string name;
  bool dry_run = false;
};

Json import_json(const PreparedImport& prepared,
                 const registry::ImportPlan& plan,
                 const std::set<std::string>& missing,
                 const std::string& state,
                 const std::string& signature) {
  Json::Array variants;
  for (const registry::Variant& variant : prepared.manifest.variants) {
    Json::Array files;
    for (const registry::ManifestFile& file : variant.files) {
      files.emplace_back(Json::Object{
          {"name", file.name}, {"digest", file.digest.to_string()}, {"size_bytes", file.size}});
    }
    variants.emplace_back(Json::Object{{"name", variant.name},
                                       {"format", variant.format},
                                       {"size_bytes", variant.total_size()},
                                       {"ram_bytes", variant.needs.ram_bytes},
                                       {"files", std::move(files)}});
  }
  Json::Array shared;
  for (const registry::ManifestFile& file : prepared.manifest.shared) {
    shared.emplace_back(Json::Object{{"name", file.name},
                                     {"role", registry::to_string(file.role)},
                                     {"digest", file.digest.to_string()}});
  }
  Json::Array notes;
  for (const std::string& note : plan.notes) {
    notes.emplace_back(note);
  }
  std::uint64_t bytes = 0;
  for (const ImportBlob& blob : prepared.blobs) {
    bytes += missing.contains(blob.digest.to_string()) ? blob.index.size() : 0;
  }
  return Json{Json::Object{{"model", prepared.manifest.model.to_string()},
                           {"version", prepared.manifest.version.to_string()},
                           {"manifest_digest", Digest::of(prepared.bytes).to_string()},
                           {"format", registry::to_string(plan.format)},
                           {"state", state},
                           {"signature", signature},
                           {"copied_blobs", static_cast<std::uint64_t>(missing.size())},
                           {"copied_bytes", bytes},
                           {"variants", std::move(variants)},
                           {"shared", std::move(shared)},
                           {"notes", std::move(notes)}}};
}

void print_import(Invocation& invocation,
                  const PreparedImport& prepared,
                  const registry::ImportPlan& plan,
                  const std::set<std::string>& missing,
                  const std::string& state,
                  const std::string& signature) {
  if (invocation.json) {
    invocation.console.print_json(import_json(prepared, plan, missing, state, signature));
    return;
  }
  const registry::Manifest& manifest = prepared.manifest;
  invocation.console.line(fmt::format("{}:{} ({}), {}",
                                      manifest.model.to_string(),
                                      manifest.version.to_string(),
                                      registry::to_string(plan.format),
                                      state));
  invocation.console.line("  manifest " + Digest::of(prepared.bytes).to_string());
  Table table{{"variant", "size", "memory", "runtime", "files"}};
  for (const registry::Variant& variant : manifest.variants) {
    table.add({variant.name,
               human_bytes(variant.total_size()),
               human_bytes(variant.needs.ram_bytes),
               variant.needs.runtime,
               std::to_string(variant.files.size())});
  }
  invocation.console.print(table.text());
  for (const registry::ManifestFile& file : manifest.shared) {
    invocation.console.line(
        fmt::format("  kept as {}: {}", registry::to_string(file.role), printable(file.name)));
  }
  for (const std::string& note : plan.notes) {
    invocation.console.line("  " + printable(note));
  }
  if (!signature.empty()) {
    invocation.console.line("  signature: " + printable(signature));
  }
}

Result<std::set<std::string>> missing_blobs(Invocation& invocation,
                                            const PreparedImport& prepared) {
  imports::PlanImportRequest request;
  request.set_manifest(prepared.bytes);
  const auto plan = call_imports(invocation, request);
  if (!plan) {
    return plan.error();
  }
  return std::set<std::string>{plan->missing().begin(), plan->missing().end()};
}

Result<void> send_blobs(Invocation& invocation,
                        const PreparedImport& prepared,
                        const std::set<std::string>& missing) {
  std::uint64_t total = 0;
  for (const ImportBlob& blob : prepared.blobs) {
    total += missing.contains(blob.digest.to_string()) ? blob.index.size() : 0;
  }
  std::uint64_t done = 0;
  for (const ImportBlob& blob : prepared.blobs) {
    if (!missing.contains(blob.digest.to_string())) {
      continue;
    }
    auto sent =
        put_blob(invocation, prepared.manifest.model.to_string(), blob, [&](std::uint64_t bytes) {
          done += bytes;
          invocation.console.progress("copying", done, total);
        });
    if (!sent) {
      invocation.console.finish_progress();
      return sent;
    }
  }
  invocation.console.finish_progress();
  return {};
}

struct ImportSource {
  std::filesystem::path path;
  registry::ImportRequest request;
};

// "ollama:DIR/NAME": the shortest folder of `text` that holds models of Ollama, and the rest.
Result<ImportSource> ollama_source(FileSystem& fs, const std::string& text) {
  for (std::size_t at = text.find('/', 1);; at = text.find('/', at + 1)) {
    const std::filesystem::path folder{text.substr(0, at)};
    const auto manifests = fs.status(folder / "manifests");
    if (manifests && manifests->is_directory) {
      const std::string pick = at == std::string::npos ? "" : text.substr(at + 1);
      return ImportSource{folder, {registry::ImportFormat::kOllama, pick}};
    }
    if (at == std::string::npos) {
      return Error{Error::Code::kNotFound,
                   "no folder of ollama:" + text +
                       " has manifests/: name Ollama's models folder, then the model"};
    }
  }
}

// PATH, "oci:LAYOUT[:NAME]" as skopeo writes it, or "ollama:DIR/NAME".
Result<ImportSource> import_source(Invocation& invocation, const ModelImportOptions& options) {
  const std::string_view text{options.path};
  const bool oci = text.starts_with("oci:");
  const bool ollama = text.starts_with("ollama:");
  if ((oci || ollama) && (options.from != "auto" || !options.pick.empty())) {
    return Error{Error::Code::kInvalidArgument,
                 options.path + " says what it is: leave out --from and --pick"};
  }
  if (ollama) {
    return ollama_source(invocation.fs, options.path.substr(7));
  }
  if (oci) {
    const std::string rest = options.path.substr(4);
    const std::size_t colon = rest.find(':');
    const std::string pick = colon == std::string::npos ? "" : rest.substr(colon + 1);
    return ImportSource{rest.substr(0, colon), {registry::ImportFormat::kOci, pick}};
  }
  const auto format = registry::parse_import_format(options.from);
  if (!format) {
    return format.error();
  }
  return ImportSource{options.path, {*format, options.pick}};
}

Result<int> run_model_import(Invocation& invocation, const ModelImportOptions& options) {
  const auto source = import_source(invocation, options);
  if (!source) {
    return source.error();
  }
  const auto plan = registry::plan_import(invocation.fs, source->path, source->request);
  if (!plan) {
    return plan.error();
  }
  const auto prepared =
      prepare_import(*plan, {options.name}, [&invocation](std::uint64_t done, std::uint64_t total) {
        invocation.console.progress("hashing", done, total);
      });
  invocation.console.finish_progress();
  if (!prepared) {
    return prepared.error();
  }
  const auto missing = missing_blobs(invocation, *prepared);
  if (!missing) {
    return missing.error();
  }
  if (options.dry_run) {
    print_import(invocation, *prepared, *plan, *missing, "dry run, nothing was changed", "");
    return kExitDone;
  }
  if (auto sent = send_blobs(invocation, *prepared, *missing); !sent) {
    return sent.error();
  }
  imports::CommitImportRequest request;
  request.set_manifest(prepared->bytes);
  std::error_code ec;
  const std::string where = std::filesystem::absolute(source->path, ec).string();
  const std::string& pick = source->request.pick;
  request.set_source(where + (pick.empty() ? "" : " (" + pick + ")"));
  request.set_format(std::string{registry::to_string(plan->format)});
  const auto committed = call_imports(invocation, request);
  if (!committed) {
    return committed.error();
  }
  print_import(invocation, *prepared, *plan, *missing, committed->state(), committed->signature());
  if (!invocation.json && committed->state() == "unsigned") {
    invocation.console.line(
        fmt::format("It does not run until somebody vouches for it: skerry model vouch {}:{}",
                    committed->name(),
                    committed->version()));
  }
  return kExitDone;
}

}  // namespace

void add_model_import(Command& model, Invocation& invocation) {
  Command* command = model.add_subcommand(
      "import", "a model of another tool into this gateway's registry, unsigned");
  const auto options = add_action<ModelImportOptions>(command, invocation, run_model_import);
  command->add_option("path", options->path, "file or folder, oci:LAYOUT[:NAME], ollama:DIR/NAME")
      ->required();
  command->add_option("--from", options->from, "what it is")
      ->one_of({"auto", "gguf", "onnx", "ollama", "olive", "ort", "oci"})
      ->show_default();
  command->add_option(
      "--pick", options->pick, "which one, where there are several: model, component, tag");
  command->add_option("--name", options->name, "local/<name>[:<version>]");
  command->add_flag("--dry-run", options->dry_run, "say what would be imported");
}

}  // namespace skerry::cli
