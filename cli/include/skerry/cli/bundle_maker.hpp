#pragma once

// Makes a bundle of packed models: what two repositories have signed, and the blobs, in one folder
// (docs/formats/bundle.md). Used by `skerry bundle create`, which may be run again and again: first
// it stages what the offline repository is to sign, then, when that is published, it finishes.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/bundle.hpp"

namespace skerry::cli {

struct BundleRequest {
  std::filesystem::path out;
  // Working copies: `skerry repo init`, kept fresh by `skerry fleet pull-trust`.
  std::filesystem::path image;
  std::filesystem::path offline;
  std::string id;
  std::vector<std::string> devices;
  std::optional<WallTime> not_after;
  // Folders that `skerry model pack` made, by slot; may be empty if documents are carried.
  std::map<std::string, std::string> models;
  // What the image repository lists under "security/" (policies, revocations, permits) stays here.
  bool without_documents = false;
  // Offline keys for root and targets of the offline repository, and its online key; empty: it is
  // only staged.
  std::vector<std::string> keys;
  std::string online_key;
};

struct MadeBundle {
  registry::BundleDirective directive;
  registry::OciLayoutWriter::Counts counts;
  // Target paths of the documents that are carried.
  std::vector<std::string> documents;
  // What was signed, for people.
  std::vector<std::string> notes;
};

// kThresholdNotMet when the directive waits for signatures: sign, publish, call again; what was
// copied stays. kAlreadyExists if `out` is finished, or the id was signed with other content.
// kNotFound or kMetadataMismatch if the image repository has not published a model as it is packed,
// or lists a document whose bytes are not in its working copy.
Result<MadeBundle> make_bundle(FileSystem& fs, WallTime now, const BundleRequest& request);

}  // namespace skerry::cli
