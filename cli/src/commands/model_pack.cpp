// skerry model pack SOURCE --out FOLDER: manifest and blobs, ready to be pushed or signed.

#include <fmt/format.h>

#include "skerry/cli/packer.hpp"
#include "skerry/cli/pinned_prompts.hpp"

#include "commands.hpp"
#include "invocation.hpp"
#include "model_commands.hpp"

namespace skerry::cli {
namespace {

struct ModelPackOptions {
  std::string source;
  std::string derived;
  std::string out;
  std::string version;
  std::uint64_t release_counter = 0;
  std::vector<std::string> variants;
  std::vector<std::string> prompts;
};

Result<int> run_model_pack(Invocation& invocation, const ModelPackOptions& options) {
  const auto source = load_model_source(invocation.fs, options.source);
  if (!source) {
    return source.error();
  }
  PackOptions pack;
  pack.derived = options.derived.empty() ? source->folder : std::filesystem::path{options.derived};
  pack.out = options.out;
  pack.version = options.version;
  pack.release_counter = options.release_counter;
  pack.variants = options.variants;
  pack.prompts = options.prompts;
  const auto packed = pack_model(invocation.fs, *source, pack);
  if (!packed) {
    return packed.error();
  }
  const registry::Manifest& manifest = packed->manifest;
  if (invocation.json) {
    Json::Array variants;
    for (const auto& variant : manifest.variants) {
      variants.emplace_back(Json::Object{{"name", variant.name},
                                         {"size_bytes", variant.total_size()},
                                         {"ram_bytes", variant.needs.ram_bytes}});
    }
    invocation.console.print_json(Json{Json::Object{{"target", manifest.target_path()},
                                                    {"manifest_digest", packed->digest.to_string()},
                                                    {"release_counter", manifest.release_counter},
                                                    {"blobs", packed->blobs},
                                                    {"bytes", packed->bytes},
                                                    {"variants", std::move(variants)}}});
    return kExitDone;
  }
  invocation.console.line(fmt::format(
      "{} ({} blobs, {})", manifest.target_path(), packed->blobs, human_bytes(packed->bytes)));
  Table table{{"variant", "size", "memory", "runtime"}};
  for (const auto& variant : manifest.variants) {
    table.add({variant.name,
               human_bytes(variant.total_size()),
               human_bytes(variant.needs.ram_bytes),
               variant.needs.runtime});
  }
  invocation.console.print(table.text());
  return kExitDone;
}

}  // namespace

void add_model_pack(Command& model, Invocation& invocation) {
  Command* command = model.add_subcommand("pack", "make manifest and blobs from a model's folder");
  const auto options = add_action<ModelPackOptions>(command, invocation, run_model_pack);
  command->add_option("source", options->source, "folder with model.toml")->required();
  command->add_option("--out", options->out, "folder to make")->required();
  command->add_option("--derived", options->derived, "folder of the derived variants");
  command->add_option("--set-version", options->version, "instead of model.toml's version");
  command->add_option("--release-counter", options->release_counter, "instead of model.toml's");
  command->add_option("--variant", options->variants, "only these (repeatable)");
  command->add_option("--pin-prompt", options->prompts, std::string{kPinPromptHelp});
}

}  // namespace skerry::cli
