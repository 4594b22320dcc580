#include "manifest_rules.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "skerry/common/bytes.hpp"
#include "skerry/registry/chunk_index.hpp"
#include "skerry/registry/pinned_prompts.hpp"

#include "object_reader.hpp"

namespace skerry::registry {
namespace {

struct RoleName {
  FileRole role;
  std::string_view name;
  std::string_view media_type;
};

constexpr std::string_view kWeightType = "application/vnd.cncf.model.weight.v1.raw";
constexpr std::string_view kWeightConfigType = "application/vnd.cncf.model.weight.config.v1.raw";
constexpr std::string_view kDatasetType = "application/vnd.cncf.model.dataset.v1.raw";
constexpr std::string_view kDocType = "application/vnd.cncf.model.doc.v1.raw";

constexpr RoleName kRoles[] = {
    {FileRole::kWeights, "weights", kWeightType},
    {FileRole::kProjector, "projector", kWeightType},
    {FileRole::kTokenizer, "tokenizer", kWeightConfigType},
    {FileRole::kTemplate, "template", kWeightConfigType},
    {FileRole::kAdapter, "adapter", kWeightType},
    {FileRole::kConfig, "config", kWeightConfigType},
    {FileRole::kGolden, "golden", kDatasetType},
    {FileRole::kCalibration, "calibration", kDatasetType},
    {FileRole::kEvaluation, "evaluation", kDatasetType},
    {FileRole::kSignature, "signature", "application/vnd.dev.sigstore.bundle.v0.3+json"},
    {FileRole::kLicense, "license", kDocType},
    {FileRole::kCard, "card", kDocType},
};

const RoleName& role_entry(FileRole role) {
  return *std::find_if(std::begin(kRoles), std::end(kRoles), [role](const RoleName& entry) {
    return entry.role == role;
  });
}

bool is_file_name(std::string_view name) {
  return !name.empty() && name.size() <= ManifestLimits::kNameLength && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-' || c == '+';
         });
}

class Checker {
 public:
  explicit Checker(const Manifest& manifest) : manifest_(manifest) {}

  Result<void> run() {
    check_head();
    check_variants();
    check_files(manifest_.shared, "skerry.shared", ManifestLimits::kSharedFiles);
    for (const auto& file : manifest_.shared) {
      require(file.role != FileRole::kWeights,
              "skerry.shared",
              "weights belong to a variant, not to the shared files");
    }
    check_prefer();
    check_activation();
    check_pinned_prompts();
    if (failure_.failed()) {
      return failure_.error();
    }
    return {};
  }

 private:
  void require(bool ok, const std::string& path, std::string_view why) {
    if (!ok) {
      failure_.set(path, why);
    }
  }

  void check_part(std::string_view name, const std::string& path) {
    if (auto ok = check_name(name, path.substr(path.rfind('.') + 1)); !ok) {
      failure_.set(path, ok.error().message());
    }
  }

  void check_text(const std::string& text, const std::string& path) {
    require(text.size() <= ManifestLimits::kTextLength && is_utf8(text),
            path,
            "must be UTF-8 of at most 1024 bytes");
  }

  void check_bytes(std::uint64_t bytes, const std::string& path) {
    require(bytes <= static_cast<std::uint64_t>(kMaxJsonInteger), path, "is too large");
  }

  void check_head() {
    check_part(manifest_.model.team, "skerry.model.team");
    check_part(manifest_.model.name, "skerry.model.name");
    require(manifest_.release_counter >= 1 &&
                manifest_.release_counter <= static_cast<std::uint64_t>(kMaxJsonInteger),
            "skerry.release_counter",
            "must be from 1 to 2^53-1");
    check_text(manifest_.description, "skerry.description");
    require(manifest_.annotations.size() <= ManifestLimits::kEntries,
            "annotations",
            "has more than 64 entries");
    for (const auto& [key, value] : manifest_.annotations) {
      require(!key.empty() && key.size() <= ManifestLimits::kNameLength && is_utf8(key),
              "annotations",
              "a key must have 1 to 128 bytes of UTF-8");
      check_text(value, "annotations." + key);
    }
  }

  void check_variants() {
    require(!manifest_.variants.empty() && manifest_.variants.size() <= ManifestLimits::kVariants,
            "skerry.variants",
            "must have 1 to 64 elements");
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < manifest_.variants.size() && !failure_.failed(); ++i) {
      const auto path = "skerry.variants[" + std::to_string(i) + "]";
      const Variant& variant = manifest_.variants[i];
      check_part(variant.name, path + ".name");
      require(names.insert(variant.name).second, path + ".name", "is used twice");
      check_part(variant.format, path + ".format");
      check_needs(variant.needs, path);
      require(variant.quality.size() <= ManifestLimits::kEntries,
              path + ".quality",
              "has more than 64 entries");
      for (const auto& [key, value] : variant.quality) {
        check_part(key, path + ".quality." + key);
        require(std::isfinite(value), path + ".quality." + key, "must be finite");
      }
      check_files(variant.files, path + ".files", ManifestLimits::kFilesPerVariant);
      require(variant.find_file(FileRole::kWeights) != nullptr,
              path + ".files",
              "must hold a file of role weights");
    }
  }

  void check_needs(const VariantNeeds& needs, const std::string& path) {
    check_part(needs.runtime, path + ".runtime.plugin");
    check_part(needs.accelerator, path + ".needs.accelerator");
    check_bytes(needs.ram_bytes, path + ".needs.ram");
    check_bytes(needs.disk_bytes, path + ".needs.disk");
    require(needs.isa.size() <= ManifestLimits::kEntries &&
                needs.arch.size() <= ManifestLimits::kEntries,
            path + ".needs",
            "has a list of more than 64 elements");
    for (const auto& flag : needs.isa) {
      check_part(flag, path + ".needs.isa");
    }
    for (const auto& arch : needs.arch) {
      check_part(arch, path + ".needs.arch");
    }
  }

  void check_files(const std::vector<ManifestFile>& files,
                   const std::string& path,
                   std::size_t limit) {
    require(files.size() <= limit, path, "has more than " + std::to_string(limit) + " elements");
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < files.size() && !failure_.failed(); ++i) {
      const auto& file = files[i];
      const auto at = path + "[" + std::to_string(i) + "]";
      require(is_file_name(file.name),
              at + ".name",
              "must be 1 to 128 of [A-Za-z0-9._+-], not starting with a dot");
      require(names.insert(file.name).second, at + ".name", "is used twice");
      check_chunks(file, at);
      const auto [seen, fresh] = seen_.emplace(file.digest, &file);
      require(fresh ||
                  (seen->second->size == file.size && seen->second->chunk_size == file.chunk_size &&
                   seen->second->chunks == file.chunks),
              at,
              "names a digest with another size or chunk index than elsewhere");
    }
  }

  void check_chunks(const ManifestFile& file, const std::string& at) {
    if (auto ok = check_chunking(file.size, file.chunk_size); !ok) {
      failure_.set(at, ok.error().message());
      return;
    }
    if (chunk_count(file.size, file.chunk_size) > 1) {
      return;
    }
    const auto index = ChunkIndex::of_single_chunk(file.digest, file.size, file.chunk_size);
    require(index && index->digest() == file.chunks,
            at + ".chunks",
            "is not the index of a file of one chunk");
  }

  void check_prefer() {
    std::set<std::string_view> names;
    for (const auto& name : manifest_.prefer) {
      require(manifest_.find_variant(name) != nullptr,
              "skerry.prefer",
              "\"" + name.substr(0, 64) + "\" is not a variant");
      require(names.insert(name).second, "skerry.prefer", "names a variant twice");
    }
  }

  void check_activation() {
    const auto& activation = manifest_.activation;
    const std::string path = "skerry.activation";
    require(activation.probation_seconds <= 30U * 24U * 3600U,
            path + ".probation_seconds",
            "is more than 30 days");
    require(activation.context_length <= 1U << 24U, path + ".context_length", "is too large");
    require(activation.max_sequences <= 1024, path + ".max_sequences", "is more than 1024");
    require(activation.golden_min_pass >= 0 && activation.golden_min_pass <= 1,
            path + ".golden_min_pass",
            "must be from 0 to 1");
    require(std::isfinite(activation.golden_min_tokens_per_second) &&
                activation.golden_min_tokens_per_second >= 0,
            path + ".golden_min_tokens_per_second",
            "must be 0 or more");
  }

  // What is in the file is read by who uses it.
  void check_pinned_prompts() {
    if (!manifest_.annotations.contains(kPinnedPromptsKey)) {
      return;
    }
    const ManifestFile* file = pinned_prompts_of(manifest_);
    const std::string path = "annotations." + std::string{kPinnedPromptsKey};
    require(file != nullptr, path, "must name a shared file of role config");
    require(file == nullptr || file->size <= PinnedPromptLimits::kBytes,
            path,
            "names a file of more than 65536 bytes");
  }

  const Manifest& manifest_;
  Failure failure_{Error::Code::kManifestInvalid, "manifest"};
  std::map<Digest, const ManifestFile*> seen_;
};

}  // namespace

std::optional<FileRole> parse_file_role(std::string_view text) {
  for (const auto& entry : kRoles) {
    if (entry.name == text) {
      return entry.role;
    }
  }
  return std::nullopt;
}

std::string_view media_type_of(FileRole role) {
  return role_entry(role).media_type;
}

std::string_view to_string(FileRole role) noexcept {
  return role_entry(role).name;
}

Result<void> check_manifest(const Manifest& manifest) {
  return Checker{manifest}.run();
}

}  // namespace skerry::registry
