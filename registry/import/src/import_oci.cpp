// OCI image layouts as skopeo, umoci, ModelPack, KitOps and Docker's model runner make them: the
// layers of one manifest as the files that they hold, in a folder that is nowhere on disk. What the
// files are is then found as in any other folder.

#include <algorithm>
#include <optional>
#include <set>

#include <sys/utsname.h>

#include "skerry/common/confined_folder.hpp"
#include "skerry/registry/import_names.hpp"
#include "skerry/registry/oci_layout.hpp"
#include "skerry/registry/tar_index.hpp"

#include "importers.hpp"
#include "inflate.hpp"

namespace skerry::registry {
namespace {

constexpr std::size_t kMaxOciLayers = 256;
constexpr std::string_view kOciTitle = "org.opencontainers.image.title";

// What this machine calls itself in an image's `platform`.
std::string host_architecture() {
  utsname name{};
  if (::uname(&name) != 0) {
    return {};
  }
  const std::string machine{static_cast<const char*>(name.machine)};
  return machine == "x86_64" ? "amd64" : (machine == "aarch64" ? "arm64" : machine);
}

std::string architecture_of(const OciImage& image) {
  return image.descriptor.platform ? image.descriptor.platform->architecture : std::string{};
}

// By name or digest, then by machine: an index lists one manifest for each.
Result<OciImage> choose_image(const OciLayout& layout, const std::string& pick) {
  auto images = layout.images();
  if (!images) {
    return images.error();
  }
  std::string names;
  for (const OciImage& image : *images) {
    names += (names.empty() ? "" : ", ") +
             (image.name.empty() ? image.descriptor.digest.to_string() : image.name) +
             (architecture_of(image).empty() ? "" : " (" + architecture_of(image) + ")");
  }
  std::erase_if(*images, [&pick](const OciImage& image) {
    return !pick.empty() && image.name != pick && image.descriptor.digest.to_string() != pick;
  });
  if (images->size() > 1) {
    std::erase_if(*images, [host = host_architecture()](const OciImage& image) {
      const std::string architecture = architecture_of(image);
      return !architecture.empty() && architecture != host;
    });
  }
  if (images->size() == 1) {
    return std::move(images->front());
  }
  return Error{Error::Code::kNotFound,
               (pick.empty() ? std::string{"say which manifest with --pick"}
                             : "\"" + pick + "\" is " + std::to_string(images->size()) +
                                   " manifests of this layout") +
                   "; there are " + (names.empty() ? "none" : names)};
}

// How a layer's bytes are to be read, by its media type.
struct LayerShape {
  bool archive = false;
  Compression compression = Compression::kNone;
};

LayerShape shape_of(std::string_view type) {
  LayerShape shape;
  if (type.ends_with("+gzip") || type.ends_with(".gzip")) {
    shape.compression = Compression::kGzip;
    type.remove_suffix(5);
  } else if (type.ends_with("+zstd")) {
    shape.compression = Compression::kZstd;
    type.remove_suffix(5);
  }
  shape.archive = type.ends_with(".tar");
  return shape;
}

bool is_gguf_type(std::string_view type) {
  return type == "application/vnd.docker.ai.gguf.v3" || type.ends_with(".weight.v1.gguf");
}

// Which of how many: the nameless GGUF layers of a manifest are the parts of one file.
struct LayerPlace {
  std::size_t number = 0;
  std::size_t part = 0;
  std::size_t parts = 1;
};

std::string five_places(std::size_t number) {
  const std::string digits = std::to_string(number);
  return std::string(5 - std::min<std::size_t>(5, digits.size()), '0') + digits;
}

// The file that a layer is, where it is no archive.
std::string layer_path(const OciDescriptor& layer, const LayerPlace& place) {
  for (const std::string_view key : {std::string_view{"org.cncf.model.filepath"},
                                     std::string_view{"org.cnai.model.filepath"},
                                     kOciTitle}) {
    std::string path = layer.annotation(key);
    if (!path.empty()) {
      return path;
    }
  }
  const std::string_view type = layer.media_type;
  const std::string end = "-" + std::to_string(place.number);
  if (is_gguf_type(type)) {
    return place.parts == 1
               ? "model.gguf"
               : "model-" + five_places(place.part) + "-of-" + five_places(place.parts) + ".gguf";
  }
  if (type == "application/vnd.docker.ai.mmproj") {
    return "mmproj" + end + ".gguf";
  }
  if (type == "application/vnd.docker.ai.license") {
    return "LICENSE" + end + ".txt";
  }
  if (type == "application/vnd.docker.ai.chat.template.jinja") {
    return "chat_template" + end + ".jinja";
  }
  return "layer-" + layer.digest.hex().substr(0, 12);
}

// What keeps the layout readable for as long as a file of it is open.
struct OpenLayout {
  std::shared_ptr<FileSystem> folder;
  OciLayout layout;
};

class LayerFiles {
 public:
  LayerFiles(FileSystem& scratch, std::shared_ptr<const OpenLayout> open)
      : scratch_(scratch), open_(std::move(open)) {}

  Result<void> add(const OciDescriptor& layer, const LayerPlace& place) {
    const LayerShape shape = shape_of(layer.media_type);
    if (shape.archive || shape.compression != Compression::kNone) {
      return add_packed(layer, shape, place);
    }
    // Whether it is there and as long as it should be; its bytes are hashed when they are copied.
    if (auto there = open_->layout.open_blob(layer); !there) {
      return there.error();
    }
    return add_file(VirtualFile{layer_path(layer, place),
                                layer.size,
                                [open = open_, layer] { return open->layout.open_blob(layer); },
                                layer.digest});
  }

  [[nodiscard]] std::vector<VirtualFile> take() { return std::move(files_); }

 private:
  Result<void> add_packed(const OciDescriptor& layer, LayerShape shape, const LayerPlace& place) {
    // A file inside an archive has no digest of its own to be checked by.
    if (auto ok = open_->layout.verify(layer, CancelFlag{}); !ok) {
      return ok;
    }
    auto opened = open_->layout.open_blob(layer);
    if (!opened) {
      return opened.error();
    }
    std::shared_ptr<File> content = *std::move(opened);
    if (shape.compression != Compression::kNone) {
      auto unpacked = inflate(scratch_, *content, shape.compression);
      if (!unpacked) {
        return unpacked.error().with_context(layer.digest.to_string());
      }
      content = *std::move(unpacked);
    }
    const auto status = content->status();
    if (!status) {
      return status.error();
    }
    std::vector<TarEntry> entries{{layer_path(layer, place), 0, status->size}};
    if (shape.archive) {
      auto index = read_tar_index(*content);
      if (!index) {
        return index.error().with_context(layer.digest.to_string());
      }
      entries = *std::move(index);
    }
    for (TarEntry& entry : entries) {
      const auto open =
          [content, offset = entry.offset, size = entry.size]() -> Result<std::unique_ptr<File>> {
        return range_of_file(content, offset, size);
      };
      if (auto ok = add_file(VirtualFile{std::move(entry.path), entry.size, open, std::nullopt});
          !ok) {
        return ok;
      }
    }
    return {};
  }

  Result<void> add_file(VirtualFile file) {
    if (auto ok = check_source_path(file.path, "layer"); !ok) {
      return ok;
    }
    if (!names_.insert(file.path).second) {
      return Error{Error::Code::kParse, "two layers hold \"" + file.path + "\""};
    }
    files_.push_back(std::move(file));
    return {};
  }

  FileSystem& scratch_;
  std::shared_ptr<const OpenLayout> open_;
  std::vector<VirtualFile> files_;
  std::set<std::string> names_;
};

// "model" of "registry.example/team/model:tag"; a mere tag says less than the folder does.
std::string oci_name(const std::string& folder, const std::string& reference) {
  const std::string last = source_name(reference);
  const std::size_t colon = last.find(':');
  if (colon != std::string::npos) {
    return import_name_part(last.substr(0, colon));
  }
  return import_name_part(last.empty() || last == "latest" ? folder : folder + "-" + last);
}

}  // namespace

Result<ImportPlan> plan_oci_layout(FileSystem& scratch,
                                   std::shared_ptr<FileSystem> folder,
                                   const std::string& name,
                                   const std::string& pick) {
  auto layout = OciLayout::open(*folder, "");
  if (!layout) {
    return layout.error();
  }
  const auto image = choose_image(*layout, pick);
  if (!image) {
    return image.error();
  }
  const std::vector<OciDescriptor>& layers = image->manifest.layers;
  if (layers.size() > kMaxOciLayers) {
    return Error{Error::Code::kTooLarge,
                 image->descriptor.digest.to_string() + ": more than 256 layers"};
  }
  LayerPlace place{0, 0, 0};
  for (const OciDescriptor& layer : layers) {
    place.parts += is_gguf_type(layer.media_type) ? 1U : 0U;
  }
  LayerFiles files{
      scratch,
      std::make_shared<const OpenLayout>(OpenLayout{std::move(folder), *std::move(layout)})};
  for (const OciDescriptor& layer : layers) {
    place.part += is_gguf_type(layer.media_type) ? 1U : 0U;
    if (auto added = files.add(layer, place); !added) {
      return added.error().with_context("layers[" + std::to_string(place.number) + "]");
    }
    ++place.number;
  }
  auto plan = plan_files(SourceFolder::of(scratch, name, files.take()));
  if (!plan) {
    return plan.error().with_context(image->descriptor.digest.to_string());
  }
  plan->name = oci_name(name, image->name);
  plan->annotations.emplace("skerry.import.manifest", image->descriptor.digest.to_string());
  if (!image->name.empty()) {
    plan->annotations.emplace("skerry.import.name",
                              image->name.substr(0, ManifestLimits::kTextLength));
  }
  return plan;
}

Result<ImportPlan> plan_oci(FileSystem& fs,
                            const std::filesystem::path& folder,
                            const std::string& name,
                            const std::string& pick) {
  // `ConfinedFolder` takes no link for the folder itself; whoever names it means where it leads.
  std::error_code ec;
  const std::filesystem::path real = std::filesystem::canonical(folder, ec);
  auto confined = ConfinedFolder::open(ec ? folder : real);
  if (!confined) {
    return confined.error();
  }
  return plan_oci_layout(fs, std::shared_ptr<FileSystem>{*std::move(confined)}, name, pick);
}

}  // namespace skerry::registry
