#include "skerry/cli/packer.hpp"

#include <algorithm>
#include <set>

#include "skerry/cli/pinned_prompts.hpp"
#include "skerry/cli/weights.hpp"
#include "skerry/registry/chunk_index.hpp"
#include "skerry/registry/recipe.hpp"

namespace skerry::cli {
namespace {

constexpr std::size_t kCopyBytes = 1U << 20U;
constexpr std::size_t kMaxQualityFile = 1U << 20U;
constexpr std::size_t kMaxRecipeFile = 4096;

class BlobFolder {
 public:
  BlobFolder(FileSystem& fs, const std::filesystem::path& folder)
      : fs_(fs), folder_(folder / "blobs" / "sha256") {}

  Result<void> prepare() { return fs_.create_directories(folder_, 0755); }

  // Adds a file and its chunk index.
  Result<registry::ManifestFile> add(registry::FileRole role, const std::filesystem::path& path) {
    const auto status = fs_.status(path);
    if (!status) {
      return status.error();
    }
    const std::uint32_t chunk_size = registry::choose_chunk_size(status->size);
    const auto hashed = registry::hash_file(fs_, path, chunk_size);
    if (!hashed) {
      return hashed.error().with_context(path.string());
    }
    if (auto copied = copy(path, hashed->digest, status->size); !copied) {
      return copied.error();
    }
    const Bytes index = hashed->index.serialise();
    const auto index_path = folder_ / hashed->index.digest().hex();
    if (!fs_.exists(index_path)) {
      if (auto written = write_file_atomic(fs_, index_path, as_text(index), 0644); !written) {
        return written.error();
      }
    }
    count(hashed->digest, status->size);
    count(hashed->index.digest(), index.size());
    registry::ManifestFile file;
    file.role = role;
    file.name = path.filename().string();
    file.digest = hashed->digest;
    file.size = status->size;
    file.chunk_size = chunk_size;
    file.chunks = hashed->index.digest();
    return file;
  }

  [[nodiscard]] std::uint64_t blobs() const { return seen_.size(); }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  Result<void> copy(const std::filesystem::path& from, const Digest& digest, std::uint64_t size) {
    const auto to = folder_ / digest.hex();
    if (const auto status = fs_.status(to); status && status->size == size) {
      return {};
    }
    auto source = fs_.open(from, OpenMode::kRead);
    if (!source) {
      return source.error();
    }
    const std::filesystem::path partial = to.string() + ".partial";
    auto target = fs_.open(partial, OpenMode::kCreate, 0644);
    if (!target) {
      return target.error();
    }
    if (auto reserved = (*target)->truncate(0); !reserved) {
      return reserved;
    }
    Bytes buffer(kCopyBytes);
    for (std::uint64_t at = 0; at < size;) {
      const auto read = (*source)->read_at(at, buffer);
      if (!read) {
        return read.error();
      }
      if (*read == 0) {
        return Error{Error::Code::kSizeMismatch,
                     from.string() + " became shorter while it was read"};
      }
      if (auto written = (*target)->write_at(at, ByteView{buffer}.first(*read)); !written) {
        return written;
      }
      at += *read;
    }
    if (auto synced = (*target)->sync(); !synced) {
      return synced;
    }
    return fs_.rename(partial, to);
  }

  void count(const Digest& digest, std::uint64_t size) {
    if (seen_.insert(digest).second) {
      bytes_ += size;
    }
  }

  FileSystem& fs_;
  std::filesystem::path folder_;
  std::set<Digest> seen_;
  std::uint64_t bytes_ = 0;
};

// A format that only a plugin reads, which devices look for under the plugin's name.
Result<std::uint64_t> own_format_memory(const SourceVariant& wanted) {
  if (wanted.format != wanted.runtime) {
    return Error{Error::Code::kModelFormat,
                 "Skerry does not read the format " + wanted.format +
                     "; one that only a plugin reads is called like the plugin, here " +
                     wanted.runtime};
  }
  if (wanted.ram_bytes == 0) {
    return Error{Error::Code::kInvalidArgument,
                 "say ram: only the plugin " + wanted.runtime + " knows what its format needs"};
  }
  return wanted.ram_bytes;
}

// The memory that PREFLIGHT asks for, of weights that a device would admit.
Result<std::uint64_t> needed_memory(FileSystem& fs,
                                    const std::filesystem::path& path,
                                    const ModelSource& source,
                                    const SourceVariant& wanted) {
  if (!inspects_format(wanted.format)) {
    return own_format_memory(wanted);
  }
  const auto weights = inspect_weights(fs, path, source.activation);
  if (!weights) {
    return weights.error();
  }
  if (weights->format != wanted.format) {
    return Error{Error::Code::kModelFormat,
                 path.string() + " is " + weights->format + ", model.toml says " + wanted.format};
  }
  return wanted.ram_bytes != 0 ? wanted.ram_bytes : weights->ram_bytes;
}

Result<registry::Variant> pack_variant(FileSystem& fs,
                                       BlobFolder& blobs,
                                       const ModelSource& source,
                                       const SourceVariant& wanted,
                                       const PackOptions& options,
                                       const QualityFigures& quality) {
  const auto path = source.weights_of(wanted, options.derived);
  if (!wanted.quantize.empty() && !fs.exists(path)) {
    return Error{Error::Code::kNotFound,
                 path.string() + " is missing: make it with `skerry model quantize " +
                     source.folder.string() + " --out " + options.derived.string() + "`"};
  }
  const auto ram_bytes = needed_memory(fs, path, source, wanted);
  if (!ram_bytes) {
    return ram_bytes.error();
  }
  registry::Variant variant;
  variant.name = wanted.name;
  variant.format = wanted.format;
  variant.needs.arch = wanted.arch;
  variant.needs.isa = wanted.isa;
  variant.needs.accelerator = wanted.accelerator;
  variant.needs.runtime = wanted.runtime;
  variant.needs.ram_bytes = *ram_bytes;
  if (const auto figures = quality.find(wanted.name); figures != quality.end()) {
    variant.quality = figures->second;
  }
  auto file = blobs.add(registry::FileRole::kWeights, path);
  if (!file) {
    return file.error();
  }
  variant.files.push_back(std::move(*file));
  return variant;
}

// What `skerry model quantize` noted beside the weights, if it is of this very file.
Result<std::optional<registry::Recipe>> read_recipe(FileSystem& fs,
                                                    const std::filesystem::path& weights,
                                                    const registry::Variant& variant) {
  const std::filesystem::path note = weights.string() + std::string{kRecipeSuffix};
  if (!fs.exists(note)) {
    return std::optional<registry::Recipe>{};
  }
  const auto text = read_file(fs, note, kMaxRecipeFile);
  if (!text) {
    return text.error();
  }
  const auto line = text->substr(0, text->find('\n'));
  const auto space = line.find(' ');
  const auto made = Digest::parse(line.substr(0, space));
  if (!made || space == std::string::npos) {
    return Error{Error::Code::kParse, note.string() + ": a digest and a recipe are expected"};
  }
  if (*made != variant.files.front().digest) {
    return std::optional<registry::Recipe>{};
  }
  auto recipe = registry::Recipe::parse(line.substr(space + 1));
  if (!recipe) {
    return recipe.error().with_context(note.string());
  }
  return std::optional{std::move(*recipe)};
}

bool wanted(const PackOptions& options, const std::string& name) {
  return options.variants.empty() ||
         std::find(options.variants.begin(), options.variants.end(), name) !=
             options.variants.end();
}

Result<void> check_wanted(const ModelSource& source, const PackOptions& options) {
  for (const std::string& name : options.variants) {
    const bool known = std::any_of(source.variants.begin(),
                                   source.variants.end(),
                                   [&name](const auto& variant) { return variant.name == name; });
    if (!known) {
      return Error{Error::Code::kNotFound, "model.toml has no variant " + name};
    }
  }
  return {};
}

// What all variants have: the golden set, the card.
Result<void> add_shared(BlobFolder& blobs,
                        const ModelSource& source,
                        registry::Manifest& manifest) {
  const std::pair<registry::FileRole, const std::string&> shared[] = {
      {registry::FileRole::kGolden, source.golden}, {registry::FileRole::kCard, source.card}};
  for (const auto& [role, name] : shared) {
    if (name.empty()) {
      continue;
    }
    auto file = blobs.add(role, source.folder / name);
    if (!file) {
      return file.error();
    }
    manifest.shared.push_back(std::move(*file));
  }
  return {};
}

}  // namespace

Result<PackedModel> pack_model(FileSystem& fs,
                               const ModelSource& source,
                               const PackOptions& options) {
  if (auto checked = check_wanted(source, options); !checked) {
    return checked.error();
  }
  const auto quality = load_quality(fs, options.derived / "quality.json");
  if (!quality) {
    return quality.error();
  }
  BlobFolder blobs{fs, options.out};
  if (auto prepared = blobs.prepare(); !prepared) {
    return prepared.error();
  }
  PackedModel packed;
  registry::Manifest& manifest = packed.manifest;
  manifest.model = source.model;
  manifest.version = source.version;
  if (!options.version.empty()) {
    auto version = registry::SemanticVersion::parse(options.version);
    if (!version) {
      return version.error();
    }
    manifest.version = std::move(*version);
  }
  manifest.release_counter =
      options.release_counter != 0 ? options.release_counter : source.release_counter;
  manifest.description = source.description;
  manifest.activation = source.activation;
  for (const SourceVariant& variant : source.variants) {
    if (!wanted(options, variant.name)) {
      continue;
    }
    auto made = pack_variant(fs, blobs, source, variant, options, *quality);
    if (!made) {
      return made.error().with_context("variant " + variant.name);
    }
    const auto recipe = read_recipe(fs, source.weights_of(variant, options.derived), *made);
    if (!recipe) {
      return recipe.error();
    }
    if (*recipe) {
      manifest.annotations.emplace(registry::recipe_key(made->name), (*recipe)->serialise());
    }
    manifest.variants.push_back(std::move(*made));
  }
  for (const std::string& name : source.prefer) {
    if (wanted(options, name)) {
      manifest.prefer.push_back(name);
    }
  }
  if (auto shared = add_shared(blobs, source, manifest); !shared) {
    return shared.error();
  }
  const auto bytes = manifest.serialise();
  if (!bytes) {
    return bytes.error();
  }
  if (auto written = write_file_atomic(fs, options.out / "manifest.json", *bytes, 0644); !written) {
    return written.error();
  }
  if (auto pinned = pin_prompts(fs, options.out, options.prompts); !pinned) {
    return pinned.error();
  }
  const auto written =
      read_file(fs, options.out / "manifest.json", registry::ManifestLimits::kBytes);
  if (!written) {
    return written.error();
  }
  packed.digest = Digest::of(*written);
  packed.blobs = blobs.blobs();
  packed.bytes = blobs.bytes();
  return packed;
}

Result<QualityFigures> load_quality(FileSystem& fs, const std::filesystem::path& file) {
  QualityFigures figures;
  if (!fs.exists(file)) {
    return figures;
  }
  const auto text = read_file(fs, file, kMaxQualityFile);
  if (!text) {
    return text.error();
  }
  const auto json = Json::parse(*text);
  if (!json) {
    return json.error().with_context(file.string());
  }
  if (json->object() == nullptr) {
    return Error{Error::Code::kParse, file.string() + ": an object of variants is expected"};
  }
  for (const auto& [variant, values] : *json->object()) {
    if (values.object() == nullptr) {
      return Error{Error::Code::kParse, file.string() + ": " + variant + ": an object is expected"};
    }
    for (const auto& [name, value] : *values.object()) {
      const auto number = value.as_number();
      if (!number) {
        return number.error().with_context(name).with_context(variant).with_context(file.string());
      }
      figures[variant][name] = *number;
    }
  }
  return figures;
}

Result<void> save_quality(FileSystem& fs,
                          const std::filesystem::path& file,
                          const QualityFigures& figures) {
  Json::Object json;
  for (const auto& [variant, values] : figures) {
    Json::Object inner;
    for (const auto& [name, value] : values) {
      inner[name] = value;
    }
    json[variant] = Json{std::move(inner)};
  }
  return write_file_atomic(fs, file, Json{std::move(json)}.dump_pretty() + "\n", 0644);
}

}  // namespace skerry::cli
