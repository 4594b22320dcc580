#include "skerry/registry/oci_layout.hpp"

#include <set>
#include <utility>

#include "buffer_worker.hpp"

namespace skerry::registry {
namespace {

constexpr std::size_t kVerifyPiece = 1U << 20U;

class OciSource final : public BlobSource {
 public:
  OciSource(FileSystem& fs, const std::filesystem::path& folder)
      : name_("layout " + folder.string()), files_(fs, folder / "blobs", BlobNaming::kFlat) {}
  [[nodiscard]] std::string name() const override { return name_; }
  Result<void> read(const BlobRange& range, ByteSink& sink, const CancelFlag& cancel) override {
    return files_.read(range, sink, cancel);
  }

 private:
  std::string name_;
  FileSource files_;
};

// Walks index.json and the indexes below it, depth first.
class ImageWalk {
 public:
  explicit ImageWalk(const OciLayout& layout) : layout_(layout) {}

  Result<void> visit(const OciIndex& index, std::size_t depth) {
    for (const OciDescriptor& descriptor : index.manifests) {
      if (!seen_.insert(descriptor.digest).second) {
        continue;
      }
      if (seen_.size() > OciLimits::kImages) {
        return Error{
            Error::Code::kTooLarge,
            "the layout lists more than " + std::to_string(OciLimits::kImages) + " manifests"};
      }
      auto bytes = layout_.read(descriptor);
      if (!bytes) {
        return bytes.error().with_context(descriptor.is_index() ? "image index" : "image manifest");
      }
      auto done = descriptor.is_index() ? nested(descriptor, *bytes, depth)
                                        : image(descriptor, *std::move(bytes));
      if (!done) {
        return done.error().with_context(descriptor.digest.to_string());
      }
    }
    return {};
  }

  std::vector<OciImage> images;

 private:
  Result<void> nested(const OciDescriptor& descriptor, std::string_view bytes, std::size_t depth) {
    if (depth == OciLimits::kDepth) {
      return Error{Error::Code::kTooLarge,
                   "indexes are nested deeper than " + std::to_string(OciLimits::kDepth)};
    }
    const auto index = parse_oci_index(bytes);
    if (!index) {
      return index.error();
    }
    const std::string outer = std::exchange(name_, name_of(descriptor));
    auto done = visit(*index, depth + 1);
    name_ = outer;
    return done;
  }

  Result<void> image(const OciDescriptor& descriptor, std::string bytes) {
    auto manifest = parse_oci_manifest(bytes);
    if (!manifest) {
      return manifest.error();
    }
    images.push_back({descriptor, *std::move(manifest), std::move(bytes), name_of(descriptor)});
    return {};
  }

  // A manifest without a name goes by that of the index around it.
  [[nodiscard]] std::string name_of(const OciDescriptor& descriptor) const {
    std::string own = descriptor.annotation(kOciRefName);
    return own.empty() ? name_ : own;
  }

  const OciLayout& layout_;
  std::set<Digest> seen_;
  std::string name_;
};

Error wrong_size(const OciDescriptor& descriptor, std::uint64_t found) {
  return {Error::Code::kSizeMismatch,
          "blob " + descriptor.digest.to_string() + " has " + std::to_string(found) +
              " bytes, its descriptor says " + std::to_string(descriptor.size)};
}

Error wrong_bytes(const OciDescriptor& descriptor) {
  return {Error::Code::kDigestMismatch,
          "blob " + descriptor.digest.to_string() + " has other bytes than its name says"};
}

}  // namespace

Result<OciLayout> OciLayout::open(FileSystem& fs, std::filesystem::path folder) {
  const auto marker = read_file(fs, folder / "oci-layout", OciLimits::kMarkerBytes);
  if (!marker) {
    return marker.error().with_context("no OCI image layout");
  }
  if (auto ok = check_oci_marker(*marker); !ok) {
    return ok.error();
  }
  const auto text = read_file(fs, folder / "index.json", OciLimits::kJsonBytes);
  if (!text) {
    return text.error().with_context("OCI image layout");
  }
  auto index = parse_oci_index(*text);
  if (!index) {
    return index.error().with_context("index.json");
  }
  return OciLayout{fs, std::move(folder), *std::move(index)};
}

std::filesystem::path OciLayout::path_of(const Digest& digest) const {
  return folder_ / "blobs" / "sha256" / digest.hex();
}

Result<std::unique_ptr<File>> OciLayout::open_blob(const OciDescriptor& descriptor) const {
  auto file = fs_->open(path_of(descriptor.digest), OpenMode::kRead);
  if (!file) {
    return file.error();
  }
  const auto status = (*file)->status();
  if (!status) {
    return status.error();
  }
  if (status->is_directory) {
    return Error{Error::Code::kInvalidArgument,
                 "blob " + descriptor.digest.to_string() + " is a directory"};
  }
  if (status->size != descriptor.size) {
    return wrong_size(descriptor, status->size);
  }
  return file;
}

Result<std::string> OciLayout::read(const OciDescriptor& descriptor, std::size_t limit) const {
  if (descriptor.size > limit) {
    return Error{Error::Code::kTooLarge,
                 "blob " + descriptor.digest.to_string() + " has " +
                     std::to_string(descriptor.size) + " bytes, the limit is " +
                     std::to_string(limit)};
  }
  const auto file = open_blob(descriptor);
  if (!file) {
    if (file.error().code() == Error::Code::kNotFound && descriptor.data) {
      return *descriptor.data;
    }
    return file.error();
  }
  std::string content(descriptor.size, '\0');
  const auto count =
      (*file)->read_at(0, {reinterpret_cast<std::uint8_t*>(content.data()), content.size()});
  if (!count) {
    return count.error();
  }
  if (*count != content.size()) {
    return wrong_size(descriptor, *count);
  }
  if (Digest::of(content) != descriptor.digest) {
    return wrong_bytes(descriptor);
  }
  return content;
}

Result<void> OciLayout::verify(const OciDescriptor& descriptor, const CancelFlag& cancel) const {
  const auto file = open_blob(descriptor);
  if (!file) {
    return file.error();
  }
  Sha256 hash;
  Buffer buffer{kVerifyPiece};
  for (std::uint64_t done = 0; done < descriptor.size;) {
    if (cancel.cancelled()) {
      return Error{Error::Code::kCancelled, "the check was cancelled"};
    }
    const auto wanted = std::min<std::uint64_t>(buffer.space().size(), descriptor.size - done);
    const auto count = (*file)->read_at(done, buffer.space().first(wanted));
    if (!count) {
      return count.error();
    }
    if (*count == 0) {
      return wrong_size(descriptor, done);
    }
    hash.update(ByteView{buffer.space().first(*count)});
    done += *count;
  }
  return hash.finish() == descriptor.digest ? Result<void>{} : wrong_bytes(descriptor);
}

Result<std::vector<OciImage>> OciLayout::images() const {
  ImageWalk walk{*this};
  if (auto done = walk.visit(index_, 0); !done) {
    return done.error();
  }
  return std::move(walk.images);
}

Result<OciImage> OciLayout::find(std::string_view reference) const {
  auto all = images();
  if (!all) {
    return all.error();
  }
  std::vector<OciImage> fitting;
  std::string names;
  for (OciImage& image : *all) {
    const std::string digest = image.descriptor.digest.to_string();
    names += (names.empty() ? "" : ", ") + (image.name.empty() ? digest : image.name);
    if (reference.empty() || reference == image.name || reference == digest) {
      fitting.push_back(std::move(image));
    }
  }
  if (fitting.empty()) {
    return Error{Error::Code::kNotFound,
                 reference.empty() ? std::string{"the layout lists no image"}
                                   : "the layout has no image \"" + std::string{reference} +
                                         "\"; it has: " + names};
  }
  if (fitting.size() > 1) {
    return Error{Error::Code::kInvalidArgument,
                 "several images fit; name one by its digest: " + names};
  }
  return std::move(fitting.front());
}

std::unique_ptr<BlobSource> OciLayout::source() const {
  return std::make_unique<OciSource>(*fs_, folder_);
}

}  // namespace skerry::registry
