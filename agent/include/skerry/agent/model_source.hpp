#pragma once

// Where a gateway gets signed metadata and blobs from: the controller's streams, or a folder (USB,
// tests). Sources are not trusted; TUF and digests decide. Every call blocks and is made on a
// transfer thread.

#include <chrono>
#include <memory>
#include <string>

#include "skerry/common/result.hpp"
#include "skerry/registry/blob_source.hpp"
#include "skerry/security/tuf/client.hpp"

namespace skerry::agent {

class ModelSource {
 public:
  virtual ~ModelSource() = default;
  // For logs and reports.
  [[nodiscard]] virtual std::string name() const = 0;
  // The image repository's metadata.
  virtual security::tuf::Fetcher& metadata() = 0;
  virtual registry::BlobSource& blobs() = 0;
};

// A published repository (`<folder>/metadata`) and content folder (`<folder>/blobs`).
std::unique_ptr<ModelSource> make_folder_source(FileSystem& fs,
                                                const std::filesystem::path& folder);

}  // namespace skerry::agent
