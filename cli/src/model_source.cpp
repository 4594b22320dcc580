#include "skerry/cli/model_source.hpp"

#include <algorithm>
#include <chrono>

#include "skerry/common/toml_reader.hpp"

namespace skerry::cli {
namespace {

constexpr std::int64_t kMaxCount = 1'000'000'000;

// A value of the document that is checked after reading: the error names its key and line.
template <class Parse>
void read_parsed(TomlTable& table, std::string_view key, Parse parse, bool required) {
  std::string text;
  table.read(key, text);
  if (text.empty()) {
    if (required) {
      table.fail(key, "is missing");
    }
    return;
  }
  if (const Result<void> done = parse(text); !done) {
    table.fail(key, done.error().message());
  }
}

bool plain_name(const std::string& name) {
  return !name.empty() && name.find('/') == std::string::npos && name != "." && name != "..";
}

void read_plain(TomlTable& table, std::string_view key, std::string& out) {
  table.read(key, out);
  if (!out.empty() && !plain_name(out)) {
    table.fail(key, "is the name of a file beside model.toml, not a path");
  }
}

void read_activation(TomlTable table, registry::ActivationOptions& activation) {
  std::chrono::milliseconds probation = std::chrono::seconds{activation.probation_seconds};
  table.read("probation", probation);
  activation.probation_seconds = static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::seconds>(probation).count());
  table.read_int("probation_requests", activation.probation_requests, 0, kMaxCount);
  table.read_int("context_length", activation.context_length, 0, kMaxCount);
  table.read_int("max_sequences", activation.max_sequences, 0, 4096);
  table.read("golden_min_pass", activation.golden_min_pass);
  table.read("golden_min_tokens_per_second", activation.golden_min_tokens_per_second);
  std::string swap{registry::to_string(activation.swap_mode)};
  table.read("swap", swap);
  if (swap == registry::to_string(registry::SwapMode::kOverlap)) {
    activation.swap_mode = registry::SwapMode::kOverlap;
  } else if (swap == registry::to_string(registry::SwapMode::kUnloadFirst)) {
    activation.swap_mode = registry::SwapMode::kUnloadFirst;
  } else {
    table.fail("swap",
               "is \"" + std::string{registry::to_string(registry::SwapMode::kOverlap)} +
                   "\" or \"" + std::string{registry::to_string(registry::SwapMode::kUnloadFirst)} +
                   "\"");
  }
}

SourceVariant read_variant(TomlTable& table, const SourceVariant& defaults) {
  SourceVariant variant = defaults;
  table.read("name", variant.name);
  if (!plain_name(variant.name)) {
    table.fail("name", "a variant has a name without '/'");
  }
  read_plain(table, "file", variant.file);
  table.read("quantize", variant.quantize);
  if (variant.file.empty() == variant.quantize.empty()) {
    table.fail("file", "a variant has either a file or a type to quantize to");
  }
  table.read("format", variant.format);
  table.read("runtime", variant.runtime);
  if (variant.format.empty() || variant.runtime.empty()) {
    table.fail("runtime", "say format and runtime, here or for the whole model");
  }
  table.read("accelerator", variant.accelerator);
  table.read("arch", variant.arch);
  table.read("isa", variant.isa);
  ByteSize ram{variant.ram_bytes};
  table.read("ram", ram);
  variant.ram_bytes = ram.bytes;
  return variant;
}

}  // namespace

const SourceVariant& ModelSource::base() const {
  const auto found = std::find_if(
      variants.begin(), variants.end(), [](const auto& variant) { return !variant.file.empty(); });
  return found == variants.end() ? variants.front() : *found;
}

std::filesystem::path ModelSource::weights_of(const SourceVariant& variant,
                                              const std::filesystem::path& derived) const {
  if (!variant.file.empty()) {
    return folder / variant.file;
  }
  return derived / (model.name + "-" + variant.name + "." + variant.format);
}

Result<ModelSource> load_model_source(FileSystem& fs, const std::filesystem::path& path) {
  const auto status = fs.status(path);
  if (!status) {
    return status.error();
  }
  const std::filesystem::path file = status->is_directory ? path / "model.toml" : path;
  auto reader = TomlReader::load(fs, file);
  if (!reader) {
    return reader.error();
  }
  ModelSource source;
  source.folder = file.parent_path();
  TomlTable root = reader->root();
  read_parsed(
      root,
      "model",
      [&source](const std::string& text) -> Result<void> {
        auto name = registry::ModelName::parse(text);
        if (!name) {
          return name.error();
        }
        source.model = std::move(*name);
        return {};
      },
      true);
  read_parsed(
      root,
      "version",
      [&source](const std::string& text) -> Result<void> {
        auto version = registry::SemanticVersion::parse(text);
        if (!version) {
          return version.error();
        }
        source.version = std::move(*version);
        return {};
      },
      true);
  root.read_int("release_counter", source.release_counter, 1, std::int64_t{1} << 53U);
  root.read("description", source.description);
  root.read("prefer", source.prefer);
  SourceVariant defaults;
  root.read("format", defaults.format);
  root.read("runtime", defaults.runtime);
  TomlTable files = root.table("files");
  read_plain(files, "golden", source.golden);
  read_plain(files, "card", source.card);
  read_plain(files, "evaluation", source.evaluation);
  read_plain(files, "calibration", source.calibration);
  read_activation(root.table("activation"), source.activation);
  for (TomlTable& table : root.tables("variant")) {
    source.variants.push_back(read_variant(table, defaults));
  }
  if (source.variants.empty()) {
    root.fail("variant", "at least one [[variant]] is needed");
  } else if (source.base().file.empty()) {
    root.fail("variant", "one variant needs a file that the others are derived from");
  }
  if (auto done = reader->finish(); !done) {
    return done.error();
  }
  return source;
}

}  // namespace skerry::cli
