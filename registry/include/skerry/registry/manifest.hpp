#pragma once

// The manifest of one model version: every variant with its files, chunk hashes, needs and measured
// quality, bound by the one hash that TUF signs. On the wire it is an OCI image manifest in the
// CNCF ModelPack shape with a `skerry` member (docs/formats/manifest.md). CLI and controller write
// it; agent, controller and variant choice read it.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/digest.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/model_reference.hpp"
#include "skerry/registry/semantic_version.hpp"

namespace skerry::registry {

inline constexpr std::string_view kManifestArtifactType =
    "application/vnd.cncf.model.manifest.v1+json";

// What a file is for. The text is the enumerator in lower case: "weights".
enum class FileRole {
  kWeights,
  kProjector,
  kTokenizer,
  kTemplate,
  kAdapter,
  kConfig,
  kGolden,
  kCalibration,
  kEvaluation,
  kSignature,
  kLicense,
  kCard
};

std::string_view to_string(FileRole role) noexcept;

struct ManifestFile {
  FileRole role = FileRole::kWeights;
  std::string name;  // one path component, as the engine would look for it
  Digest digest;
  std::uint64_t size = 0;
  std::uint32_t chunk_size = 0;
  Digest chunks;  // of the chunk-index blob

  friend bool operator==(const ManifestFile&, const ManifestFile&) = default;
};

struct VariantNeeds {
  std::uint64_t ram_bytes = 0;          // weights, repacking, KV cache at the default context
  std::uint64_t disk_bytes = 0;         // 0: the sum of the file sizes
  std::vector<std::string> arch;        // "x86_64", "aarch64"; empty: any
  std::vector<std::string> isa;         // all are needed: "avx2", "fma", "neon"
  std::string accelerator = "cpu";      // "cpu", "cuda", "vulkan" …
  std::string runtime;                  // plugin name: "llamacpp", "onnx"
  SemanticVersion runtime_min_version;  // of the plugin's engine

  friend bool operator==(const VariantNeeds&, const VariantNeeds&) = default;
};

struct Variant {
  std::string name;    // "q4_k_m"
  std::string format;  // "gguf", "onnx"
  VariantNeeds needs;
  // Measured: "accuracy", "kld", "perplexity", "tokens_per_second", "rss_bytes" …
  std::map<std::string, double, std::less<>> quality;
  std::vector<ManifestFile> files;  // at least one of role weights

  // The sum of the sizes of `files`.
  [[nodiscard]] std::uint64_t total_size() const;
  // The first file of `role`, or null.
  [[nodiscard]] const ManifestFile* find_file(FileRole role) const;

  friend bool operator==(const Variant&, const Variant&) = default;
};

enum class SwapMode {
  kOverlap,     // load the new worker beside the old one
  kUnloadFirst  // for devices that cannot hold both
};

std::string_view to_string(SwapMode mode) noexcept;

struct ActivationOptions {
  std::uint32_t probation_seconds = 300;
  std::uint32_t probation_requests = 0;  // also needed before the trial ends; 0: time alone
  std::uint32_t context_length = 0;      // 0: the model's own
  std::uint32_t max_sequences = 0;       // 0: the agent's default
  SwapMode swap_mode = SwapMode::kOverlap;
  double golden_min_pass = 1.0;             // share of the golden set that must match
  double golden_min_tokens_per_second = 0;  // 0: no bound

  friend bool operator==(const ActivationOptions&, const ActivationOptions&) = default;
};

struct Manifest {
  ModelName model;
  SemanticVersion version;
  std::uint64_t release_counter = 0;  // monotonic per model, at least 1
  std::string description;
  std::vector<Variant> variants;     // at least one; names are unique
  std::vector<ManifestFile> shared;  // golden set, licence, card …
  std::vector<std::string> prefer;   // variant names, best first; may be empty
  ActivationOptions activation;
  std::map<std::string, std::string, std::less<>> annotations;

  // Strict: every member is known, typed and within its limit; digests of one file agree wherever
  // it is named. kManifestInvalid with the JSON path.
  static Result<Manifest> parse(std::string_view json);

  // Canonical bytes (sorted keys, no white space): what is stored, hashed and signed.
  // kManifestInvalid if the value breaks a rule that `parse` enforces.
  [[nodiscard]] Result<std::string> serialise() const;

  // "models/<team>/<name>/<version>": the TUF target path.
  [[nodiscard]] std::string target_path() const;

  [[nodiscard]] const Variant* find_variant(std::string_view name) const;
  // The golden set for a variant: its own, else the shared one, else null.
  [[nodiscard]] const ManifestFile* golden_for(const Variant& variant) const;
  // What a device must hold to run `variant`: its files, then the shared golden and signature
  // files.
  [[nodiscard]] std::vector<ManifestFile> files_for(const Variant& variant) const;
  // Every file once, in order of first appearance: what `push` uploads.
  [[nodiscard]] std::vector<ManifestFile> all_files() const;

  friend bool operator==(const Manifest&, const Manifest&) = default;
};

struct ManifestLimits {
  static constexpr std::size_t kBytes = 1U << 20U;
  static constexpr std::size_t kVariants = 64;
  static constexpr std::size_t kFilesPerVariant = 64;
  static constexpr std::size_t kSharedFiles = 64;
  static constexpr std::size_t kNameLength = 128;
  static constexpr std::size_t kTextLength = 1024;
  static constexpr std::size_t kEntries = 64;  // quality figures, annotations, isa flags
};

// Splits "models/<team>/<name>/<version>"; kInvalidArgument for another path.
struct TargetName {
  ModelName model;
  SemanticVersion version;
};
Result<TargetName> parse_target_path(std::string_view path);

}  // namespace skerry::registry
