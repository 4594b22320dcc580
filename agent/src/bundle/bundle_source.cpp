#include "bundle_source.hpp"

#include <utility>

#include "skerry/registry/bundle.hpp"

namespace skerry::agent {
namespace {

class BundleSource final : public ModelSource {
 public:
  BundleSource(std::string id, std::shared_ptr<FileSystem> folder)
      : id_(std::move(id)),
        folder_(std::move(folder)),
        metadata_(*folder_, registry::kBundleImageMetadata),
        blobs_(*folder_, "blobs", registry::BlobNaming::kFlat) {}
  [[nodiscard]] std::string name() const override { return "bundle " + id_; }
  security::tuf::Fetcher& metadata() override { return metadata_; }
  registry::BlobSource& blobs() override { return blobs_; }

 private:
  std::string id_;
  std::shared_ptr<FileSystem> folder_;
  security::tuf::DirectoryFetcher metadata_;
  registry::FileSource blobs_;
};

class AbsentBundle final : public ModelSource,
                           public security::tuf::Fetcher,
                           public registry::BlobSource {
 public:
  explicit AbsentBundle(std::string id) : id_(std::move(id)) {}
  [[nodiscard]] std::string name() const override { return "bundle " + id_; }
  security::tuf::Fetcher& metadata() override { return *this; }
  registry::BlobSource& blobs() override { return *this; }
  Result<std::string> fetch(std::string_view /*name*/, std::size_t /*limit*/) override {
    return gone();
  }
  Result<void> read(const registry::BlobRange& /*range*/,
                    registry::ByteSink& /*sink*/,
                    const registry::CancelFlag& /*cancel*/) override {
    return gone();
  }

 private:
  [[nodiscard]] Error gone() const {
    return {Error::Code::kUnavailable,
            "bundle \"" + id_ + "\" is not here: plug it in and run skerry bundle import again"};
  }
  std::string id_;
};

}  // namespace

std::shared_ptr<ModelSource> make_bundle_source(std::string id,
                                                std::shared_ptr<FileSystem> folder) {
  return std::make_shared<BundleSource>(std::move(id), std::move(folder));
}

std::shared_ptr<ModelSource> make_absent_bundle(std::string id) {
  return std::make_shared<AbsentBundle>(std::move(id));
}

}  // namespace skerry::agent
