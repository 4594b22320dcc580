// Manifest::parse: JSON to value, member by member; the rules across members are in manifest_rules.

#include <map>

#include "skerry/common/bytes.hpp"
#include "skerry/common/json.hpp"
#include "skerry/registry/chunk_index.hpp"
#include "skerry/registry/manifest.hpp"

#include "manifest_rules.hpp"
#include "object_reader.hpp"

namespace skerry::registry {
namespace {

constexpr std::size_t kMediaTypeLength = 255;
constexpr std::size_t kConfigBytes = 128U << 10U;
constexpr std::size_t kMaxLayers =
    ManifestLimits::kVariants * ManifestLimits::kFilesPerVariant + ManifestLimits::kSharedFiles;

struct Layer {
  std::uint64_t size = 0;
  std::uint32_t chunk_size = 0;
  Digest chunks;
  bool used = false;
};

std::string element(std::string_view path, std::size_t index) {
  return std::string{path} + "[" + std::to_string(index) + "]";
}

class Parser {
 public:
  Result<Manifest> run(std::string_view text) {
    auto json = Json::parse(text, JsonLimits{.bytes = ManifestLimits::kBytes, .depth = 12});
    if (!json) {
      return Error{Error::Code::kManifestInvalid, "manifest: " + json.error().message()};
    }
    read_document(*json);
    if (failure_.failed()) {
      return failure_.error();
    }
    if (auto ok = check_manifest(manifest_); !ok) {
      return ok.error();
    }
    for (const auto& [digest, layer] : layers_) {
      if (!layer.used) {
        failure_.set("layers", digest.to_string() + " is used by no variant");
      }
    }
    if (failure_.failed()) {
      return failure_.error();
    }
    return std::move(manifest_);
  }

 private:
  void read_document(const Json& json) {
    ObjectReader reader{&json, "", failure_};
    reader.integer("schemaVersion", 2, 2);
    expect_text(reader, "mediaType", kImageManifestType);
    expect_text(reader, "artifactType", kManifestArtifactType);
    read_config(reader.member("config"));
    read_layers(reader.array("layers", kMaxLayers));
    if (const Json* notes = reader.member("annotations", false); notes != nullptr) {
      read_annotations(notes);
    }
    read_body(reader.member("skerry"));
    reader.finish();
  }

  static void expect_text(ObjectReader& reader, std::string_view key, std::string_view wanted) {
    if (reader.text(key, kMediaTypeLength) != wanted) {
      reader.fail(key, "must be \"" + std::string{wanted} + "\"");
    }
  }

  // The embedded config is for other tools; here it must only be what its digest says.
  void read_config(const Json* value) {
    ObjectReader reader{value, "config", failure_};
    expect_text(reader, "mediaType", kConfigType);
    const auto digest = reader.digest("digest");
    const auto size = reader.integer("size", 0, static_cast<std::int64_t>(kConfigBytes));
    const auto data = reader.text("data", 2 * kConfigBytes);
    reader.finish();
    if (failure_.failed()) {
      return;
    }
    const auto bytes = from_base64(data);
    if (!bytes) {
      failure_.set("config.data", bytes.error().message());
    } else if (bytes->size() != static_cast<std::size_t>(size) || Digest::of(*bytes) != digest) {
      failure_.set("config.data", "does not have the size and digest that are given beside it");
    }
  }

  void read_layers(const std::vector<Json>& layers) {
    for (std::size_t i = 0; i < layers.size() && !failure_.failed(); ++i) {
      const auto path = element("layers", i);
      ObjectReader reader{&layers[i], path, failure_};
      reader.text("mediaType", kMediaTypeLength);
      const auto digest = reader.digest("digest");
      Layer layer;
      layer.size = static_cast<std::uint64_t>(
          reader.integer("size", 1, static_cast<std::int64_t>(kMaxBlobSize)));
      ObjectReader notes{reader.member("annotations"), path + ".annotations", failure_};
      notes.text(kPathAnnotation, ManifestLimits::kNameLength);
      const auto chunk_size = notes.text(kChunkSizeAnnotation, 16);
      layer.chunk_size = parse_chunk_size(notes, chunk_size);
      layer.chunks = notes.digest(kChunksAnnotation);
      notes.finish();
      reader.finish();
      if (!layers_.emplace(digest, layer).second) {
        failure_.set(path + ".digest", "is listed twice");
      }
    }
  }

  static std::uint32_t parse_chunk_size(ObjectReader& notes, const std::string& text) {
    for (std::uint32_t size = kMinChunkSize; size <= kMaxChunkSize; size *= 2) {
      if (text == std::to_string(size)) {
        return size;
      }
    }
    notes.fail(kChunkSizeAnnotation, "must be a power of two from \"262144\" to \"16777216\"");
    return kMinChunkSize;
  }

  void read_annotations(const Json* value) {
    ObjectReader reader{value, "annotations", failure_};
    if (reader.members().size() > ManifestLimits::kEntries) {
      failure_.set("annotations", "has more than 64 entries");
      return;
    }
    for (const auto& [key, unused] : reader.members()) {
      manifest_.annotations.emplace(key, reader.text(key, ManifestLimits::kTextLength));
    }
  }

  void read_body(const Json* value) {
    ObjectReader reader{value, "skerry", failure_};
    reader.integer("format", 1, 1);
    const auto name = reader.text("model", ModelReference::kMaxLength);
    const auto version = reader.text("version", 64);
    manifest_.release_counter =
        static_cast<std::uint64_t>(reader.integer("release_counter", 1, kMaxJsonInteger));
    manifest_.description = reader.text("description", ManifestLimits::kTextLength, false);
    if (failure_.failed()) {
      return;
    }
    read_name(reader, name, version);
    const auto& variants = reader.array("variants", ManifestLimits::kVariants);
    for (std::size_t i = 0; i < variants.size() && !failure_.failed(); ++i) {
      read_variant(&variants[i], element("skerry.variants", i));
    }
    manifest_.shared = read_files(reader, "shared", ManifestLimits::kSharedFiles, false);
    manifest_.prefer = reader.texts("prefer", ManifestLimits::kVariants, 64);
    if (const Json* activation = reader.member("activation", false); activation != nullptr) {
      read_activation(activation);
    }
    reader.finish();
  }

  void read_name(ObjectReader& reader, const std::string& name, const std::string& version) {
    auto model = ModelName::parse(name);
    if (!model) {
      reader.fail("model", model.error().message());
      return;
    }
    auto parsed = SemanticVersion::parse(version);
    if (!parsed) {
      reader.fail("version", parsed.error().message());
      return;
    }
    manifest_.model = std::move(*model);
    manifest_.version = std::move(*parsed);
  }

  void read_variant(const Json* value, const std::string& path) {
    ObjectReader reader{value, path, failure_};
    Variant variant;
    variant.name = reader.text("name", 64);
    variant.format = reader.text("format", 64);
    ObjectReader runtime{reader.member("runtime"), path + ".runtime", failure_};
    variant.needs.runtime = runtime.text("plugin", 64);
    const auto min_version = runtime.text("min_version", 64);
    runtime.finish();
    if (auto parsed = SemanticVersion::parse(min_version); parsed) {
      variant.needs.runtime_min_version = std::move(*parsed);
    } else {
      runtime.fail("min_version", parsed.error().message());
    }
    ObjectReader needs{reader.member("needs"), path + ".needs", failure_};
    variant.needs.ram_bytes = static_cast<std::uint64_t>(needs.integer("ram", 0, kMaxJsonInteger));
    variant.needs.disk_bytes =
        static_cast<std::uint64_t>(needs.integer("disk", 0, kMaxJsonInteger, 0));
    variant.needs.arch = needs.texts("arch", ManifestLimits::kEntries, 64);
    variant.needs.isa = needs.texts("isa", ManifestLimits::kEntries, 64);
    variant.needs.accelerator = needs.text("accelerator", 64);
    needs.finish();
    if (const Json* quality = reader.member("quality", false); quality != nullptr) {
      read_quality(quality, path + ".quality", variant);
    }
    variant.files = read_files(reader, "files", ManifestLimits::kFilesPerVariant, true);
    reader.finish();
    manifest_.variants.push_back(std::move(variant));
  }

  void read_quality(const Json* value, const std::string& path, Variant& variant) {
    ObjectReader reader{value, path, failure_};
    if (reader.members().size() > ManifestLimits::kEntries) {
      failure_.set(path, "has more than 64 entries");
      return;
    }
    for (const auto& [key, unused] : reader.members()) {
      variant.quality.emplace(key, reader.number(key, -1e300, 1e300, 0));
    }
  }

  std::vector<ManifestFile> read_files(ObjectReader& parent,
                                       std::string_view key,
                                       std::size_t limit,
                                       bool required) {
    std::vector<ManifestFile> out;
    for (const Json& item : parent.array(key, limit, required)) {
      const auto path = element(parent.path_of(key), out.size());
      ObjectReader reader{&item, path, failure_};
      ManifestFile file;
      const auto role = parse_file_role(reader.text("role", 64));
      file.name = reader.text("name", ManifestLimits::kNameLength);
      file.digest = reader.digest("digest");
      reader.finish();
      if (!role) {
        reader.fail("role", "is not a known role");
      }
      const auto layer = layers_.find(file.digest);
      if (layer == layers_.end()) {
        reader.fail("digest", "is not among the layers");
      }
      if (failure_.failed()) {
        return {};
      }
      file.role = *role;
      file.size = layer->second.size;
      file.chunk_size = layer->second.chunk_size;
      file.chunks = layer->second.chunks;
      layer->second.used = true;
      out.push_back(std::move(file));
    }
    return out;
  }

  void read_activation(const Json* value) {
    ObjectReader reader{value, "skerry.activation", failure_};
    ActivationOptions& options = manifest_.activation;
    const auto small = [&](std::string_view key, std::uint32_t fallback) {
      return static_cast<std::uint32_t>(reader.integer(key, 0, 1LL << 31, fallback));
    };
    options.probation_seconds = small("probation_seconds", options.probation_seconds);
    options.probation_requests = small("probation_requests", options.probation_requests);
    options.context_length = small("context_length", options.context_length);
    options.max_sequences = small("max_sequences", options.max_sequences);
    if (const auto mode = reader.text("swap_mode", 32, false); mode == "unload_first") {
      options.swap_mode = SwapMode::kUnloadFirst;
    } else if (!mode.empty() && mode != "overlap") {
      reader.fail("swap_mode", "must be \"overlap\" or \"unload_first\"");
    }
    options.golden_min_pass = reader.number("golden_min_pass", 0, 1, options.golden_min_pass);
    options.golden_min_tokens_per_second = reader.number("golden_min_tokens_per_second", 0, 1e9, 0);
    reader.finish();
  }

  Manifest manifest_;
  std::map<Digest, Layer> layers_;
  Failure failure_{Error::Code::kManifestInvalid, "manifest"};
};

}  // namespace

Result<Manifest> Manifest::parse(std::string_view json) {
  return Parser{}.run(json);
}

}  // namespace skerry::registry
