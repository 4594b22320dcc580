// Whether what somebody signed is what was imported (OMS 8.4), file by file and both ways.

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "skerry/agent/signer_list.hpp"
#include "skerry/registry/import_names.hpp"
#include "skerry/registry/source_folder.hpp"

namespace skerry::agent {
namespace {

namespace oms = security::model_signing;

// One file as the statement knows it: its digest, or those of its shards.
struct SignedFile {
  std::string path;
  std::vector<const oms::Resource*> parts;
};

std::vector<SignedFile> signed_files(const oms::Statement& statement) {
  std::map<std::string, SignedFile> by_path;
  for (const oms::Resource& resource : statement.resources) {
    SignedFile& file = by_path[resource.path];
    file.path = resource.path;
    file.parts.push_back(&resource);
  }
  std::vector<SignedFile> out;
  for (auto& [path, file] : by_path) {
    std::sort(file.parts.begin(), file.parts.end(), [](const auto* a, const auto* b) {
      return a->start < b->start;
    });
    out.push_back(std::move(file));
  }
  return out;
}

Result<Digest> hash_range(File& file, std::uint64_t start, std::uint64_t end) {
  Sha256 hash;
  Bytes buffer(1U << 20U);
  for (std::uint64_t at = start; at < end;) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), end - at));
    const auto read = file.read_at(at, std::span{buffer}.first(wanted));
    if (!read) {
      return read.error();
    }
    if (*read == 0) {
      return Error{Error::Code::kSizeMismatch, "the blob ended early"};
    }
    hash.update(ByteView{buffer}.first(*read));
    at += *read;
  }
  return hash.finish();
}

class SignedComparison {
 public:
  SignedComparison(const oms::Statement& statement,
                   const registry::Manifest& manifest,
                   registry::BlobStore& store)
      : statement_(statement), manifest_(manifest), store_(store) {}

  Result<void> run() {
    if (statement_.serialization.hash != oms::HashType::kSha256) {
      return Error{Error::Code::kUnimplemented,
                   "the signature is over " +
                       std::string{to_string(statement_.serialization.hash)} +
                       " digests; imports are compared by sha256"};
    }
    for (const auto& [key, value] : manifest_.annotations) {
      if (key.starts_with("skerry.option.")) {
        return Error{Error::Code::kSignatureInvalid,
                     "the manifest sets the engine option " + key + ", which nobody signed"};
      }
    }
    files_ = signed_files(statement_);
    for (const registry::Variant& variant : manifest_.variants) {
      if (auto ok = match_variant(variant); !ok) {
        return ok.error().with_context("variant " + variant.name);
      }
    }
    for (const registry::ManifestFile& file : manifest_.shared) {
      if (file.role == registry::FileRole::kSignature) {
        continue;
      }
      const auto found = match(file, std::nullopt);
      if (!found) {
        return found.error();
      }
      if (found->empty()) {
        return unsigned_file(file);
      }
    }
    return every_file_is_here();
  }

 private:
  static Error unsigned_file(const registry::ManifestFile& file) {
    return {Error::Code::kSignatureInvalid, file.name + " is not what was signed, or not signed"};
  }

  // The folders in which the statement has this very file; in `folder` alone if it is given.
  Result<std::set<std::string>> match(const registry::ManifestFile& file,
                                      const std::optional<std::string>& folder) {
    std::set<std::string> folders;
    for (const SignedFile& candidate : files_) {
      // A model of one file is called "." by older signers.
      const std::string name =
          candidate.path == "." ? file.name : registry::source_name(candidate.path);
      const std::string parent =
          candidate.path == "." ? std::string{} : registry::source_parent(candidate.path);
      const bool named = registry::import_file_name(name) == file.name ||
                         (!folder && registry::import_file_name(candidate.path) == file.name);
      if (!named || (folder && *folder != parent)) {
        continue;
      }
      const auto same = same_bytes(candidate, file);
      if (!same) {
        return same.error();
      }
      if (*same) {
        folders.insert(parent);
        used_.insert(candidate.path);
      }
    }
    return folders;
  }

  Result<bool> same_bytes(const SignedFile& candidate, const registry::ManifestFile& file) {
    if (statement_.serialization.method == oms::Method::kFiles) {
      return candidate.parts.size() == 1 && std::equal(candidate.parts.front()->digest.begin(),
                                                       candidate.parts.front()->digest.end(),
                                                       file.digest.bytes().begin(),
                                                       file.digest.bytes().end());
    }
    if (candidate.parts.back()->end != file.size) {
      return false;
    }
    auto blob = store_.open_verified(registry::WantedBlob::from(file));
    if (!blob) {
      return blob.error();
    }
    std::uint64_t at = 0;
    for (const oms::Resource* part : candidate.parts) {
      if (part->start != at || part->end < part->start) {
        return false;
      }
      const auto digest = hash_range(*blob->file, part->start, part->end);
      if (!digest) {
        return digest.error();
      }
      if (!std::equal(part->digest.begin(),
                      part->digest.end(),
                      digest->bytes().begin(),
                      digest->bytes().end())) {
        return false;
      }
      at = part->end;
    }
    return true;
  }

  // The weights of a variant must have been beside one another: two signed models must not be
  // mixed into a third.
  Result<void> match_variant(const registry::Variant& variant) {
    const auto candidates = match(variant.files.front(), std::nullopt);
    if (!candidates) {
      return candidates.error();
    }
    for (const std::string& folder : *candidates) {
      bool all = true;
      for (const registry::ManifestFile& file : variant.files) {
        const auto found = match(file, folder);
        if (!found) {
          return found.error();
        }
        all = all && !found->empty();
      }
      if (all) {
        return {};
      }
    }
    return unsigned_file(variant.files.front());
  }

  Result<void> every_file_is_here() {
    static const Digest kEmpty = Digest::of(std::string_view{});
    for (const SignedFile& file : files_) {
      // A file of no bytes is no blob, and its absence changes nothing.
      const bool empty = file.parts.size() == 1 && std::equal(file.parts.front()->digest.begin(),
                                                              file.parts.front()->digest.end(),
                                                              kEmpty.bytes().begin(),
                                                              kEmpty.bytes().end());
      if (!empty && !used_.contains(file.path)) {
        return Error{Error::Code::kSignatureInvalid,
                     file.path + " is signed, but is not among what was imported, or differs"};
      }
    }
    return {};
  }

  const oms::Statement& statement_;
  const registry::Manifest& manifest_;
  registry::BlobStore& store_;
  std::vector<SignedFile> files_;
  std::set<std::string> used_;
};

}  // namespace

Result<void> check_signed_files(const oms::Statement& statement,
                                const registry::Manifest& manifest,
                                registry::BlobStore& store) {
  return SignedComparison{statement, manifest, store}.run();
}

}  // namespace skerry::agent
