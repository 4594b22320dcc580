#include "skerry/cli/import_manifest.hpp"

#include <algorithm>
#include <map>

#include "skerry/cli/weights.hpp"
#include "skerry/registry/import_names.hpp"

namespace skerry::cli {
namespace {

constexpr std::size_t kVersionDigits = 12;

// Hashes files, each content once.
class ImportHasher {
 public:
  ImportHasher(PreparedImport& out, std::uint64_t total, const HashProgress& progress)
      : out_(out), total_(total), progress_(progress) {}

  Result<registry::ManifestFile> add(const registry::ImportFile& file) {
    auto opened = file.open();
    if (!opened) {
      return opened.error().with_context(file.path);
    }
    const std::uint32_t chunk_size = registry::choose_chunk_size(file.size);
    auto hashed = registry::hash_file(**opened, chunk_size);
    if (!hashed) {
      return hashed.error().with_context(file.path);
    }
    if (hashed->index.size() != file.size) {
      return Error{Error::Code::kSizeMismatch, file.path + " changed while it was read"};
    }
    if (file.expected && *file.expected != hashed->digest) {
      return Error{Error::Code::kDigestMismatch,
                   file.path + " has the digest " + hashed->digest.to_string() +
                       ", its index says " + file.expected->to_string()};
    }
    registry::ManifestFile entry{
        file.role, file.name, hashed->digest, file.size, chunk_size, hashed->index.digest()};
    const bool known =
        std::any_of(out_.blobs.begin(), out_.blobs.end(), [&](const ImportBlob& blob) {
          return blob.digest == hashed->digest;
        });
    if (!known) {
      out_.blobs.push_back({file, std::move(hashed->index), hashed->digest});
    }
    done_ += file.size;
    if (progress_) {
      progress_(done_, total_);
    }
    return entry;
  }

 private:
  PreparedImport& out_;
  std::uint64_t total_;
  const HashProgress& progress_;
  std::uint64_t done_ = 0;
};

std::uint64_t total_bytes(const registry::ImportPlan& plan) {
  std::uint64_t total = 0;
  for (const registry::ImportVariant& variant : plan.variants) {
    for (const registry::ImportFile& file : variant.files) {
      total += file.size;
    }
  }
  for (const registry::ImportFile& file : plan.shared) {
    total += file.size;
  }
  return total;
}

Result<registry::Variant> prepare_variant(const registry::ImportVariant& source,
                                          const registry::ActivationOptions& activation,
                                          ImportHasher& hasher) {
  const registry::ImportFile& main = source.files.front();
  std::map<std::string, std::uint64_t> external;
  for (std::size_t i = 1; i < source.files.size(); ++i) {
    external.emplace(source.files[i].name, source.files[i].size);
  }
  auto opened = main.open();
  if (!opened) {
    return opened.error().with_context(main.path);
  }
  const auto weights = inspect_weights(**opened, activation, external);
  if (!weights) {
    return weights.error().with_context(main.path);
  }
  if (weights->format != source.format) {
    return Error{Error::Code::kModelFormat,
                 main.path + " is " + weights->format + ", not " + source.format};
  }
  registry::Variant variant;
  variant.name = source.name;
  variant.format = source.format;
  variant.needs.runtime = source.runtime;
  variant.needs.accelerator = source.accelerator;
  variant.needs.ram_bytes = weights->ram_bytes;
  for (const registry::ImportFile& file : source.files) {
    auto entry = hasher.add(file);
    if (!entry) {
      return entry.error();
    }
    variant.files.push_back(std::move(*entry));
  }
  return variant;
}

Result<void> name_model(const ImportNaming& naming,
                        const registry::ImportPlan& plan,
                        registry::Manifest& manifest,
                        bool& versioned) {
  manifest.model = {std::string{registry::kLocalTeam}, plan.name};
  versioned = false;
  if (naming.reference.empty()) {
    return {};
  }
  std::string text = naming.reference;
  if (text.find('/') == std::string::npos) {
    text.insert(0, std::string{registry::kLocalTeam} + "/");
  }
  const auto reference = registry::ModelReference::parse(text);
  if (!reference) {
    return reference.error().with_context("--name");
  }
  if (reference->model.team != registry::kLocalTeam || !reference->variant.empty()) {
    return Error{Error::Code::kInvalidArgument,
                 "--name " + naming.reference +
                     ": imported models are called local/<name>, optionally with :<version>"};
  }
  manifest.model = reference->model;
  if (!reference->version.empty()) {
    auto version = registry::SemanticVersion::parse(reference->version);
    if (!version) {
      return version.error().with_context("--name");
    }
    manifest.version = std::move(*version);
    versioned = true;
  }
  return {};
}

// "0.0.0-i" and the beginning of a digest over the names and contents of all files.
Result<registry::SemanticVersion> content_version(const registry::Manifest& manifest) {
  std::vector<std::string> lines;
  for (const registry::ManifestFile& file : manifest.all_files()) {
    lines.push_back(file.name + "=" + file.digest.hex());
  }
  std::sort(lines.begin(), lines.end());
  Sha256 hash;
  for (const std::string& line : lines) {
    hash.update(line + "\n");
  }
  return registry::SemanticVersion::parse("0.0.0-i" +
                                          hash.finish().hex().substr(0, kVersionDigits));
}

}  // namespace

Result<PreparedImport> prepare_import(const registry::ImportPlan& plan,
                                      const ImportNaming& naming,
                                      const HashProgress& progress) {
  PreparedImport out;
  registry::Manifest& manifest = out.manifest;
  bool versioned = false;
  if (auto named = name_model(naming, plan, manifest, versioned); !named) {
    return named.error();
  }
  // Imports have no order among themselves: any may follow any.
  manifest.release_counter = 1;
  manifest.description = plan.description;
  manifest.annotations = plan.annotations;
  ImportHasher hasher{out, total_bytes(plan), progress};
  for (const registry::ImportVariant& source : plan.variants) {
    auto variant = prepare_variant(source, manifest.activation, hasher);
    if (!variant) {
      return variant.error();
    }
    manifest.variants.push_back(std::move(*variant));
  }
  for (const registry::ImportFile& source : plan.shared) {
    auto file = hasher.add(source);
    if (!file) {
      return file.error();
    }
    manifest.shared.push_back(std::move(*file));
  }
  if (!versioned) {
    auto version = content_version(manifest);
    if (!version) {
      return version.error();
    }
    manifest.version = std::move(*version);
  }
  auto bytes = manifest.serialise();
  if (!bytes) {
    return bytes.error();
  }
  out.bytes = std::move(*bytes);
  return out;
}

}  // namespace skerry::cli
