#include "skerry/registry/bundle.hpp"

#include <algorithm>
#include <utility>

#include "skerry/registry/chunk_index.hpp"
#include "skerry/security/tuf/delegation.hpp"

#include "object_reader.hpp"

namespace skerry::registry {
namespace {

constexpr std::int64_t kBundleFormat = 1;
constexpr std::int64_t kLargestInteger = (std::int64_t{1} << 53) - 1;

bool is_bundle_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && text.front() != '.' && text.front() != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                  c == '-';
         });
}

bool is_device_pattern(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < '\x7f' && c != '/' && c != '[' && c != ']' && c != '\\';
  });
}

BundleSlot read_slot(const Json& value, const std::string& path, Failure& failure) {
  ObjectReader reader{&value, path, failure};
  BundleSlot slot;
  slot.target = reader.text("target", BundleLimits::kTextBytes);
  slot.manifest = reader.digest("manifest");
  slot.manifest_size = static_cast<std::uint64_t>(
      reader.integer("size", 1, static_cast<std::int64_t>(ManifestLimits::kBytes)));
  if (!failure.failed() && !parse_target_path(slot.target)) {
    reader.fail("target", "must be models/<team>/<name>/<version>");
  }
  reader.finish();
  return slot;
}

void read_slots(ObjectReader& reader, BundleDirective& directive, Failure& failure) {
  const Json* slots = reader.member("slots");
  const Json::Object* object = slots == nullptr ? nullptr : slots->object();
  if (object == nullptr || object->size() > BundleLimits::kSlots) {
    reader.fail("slots", "must be an object of at most 64 slots");
    return;
  }
  for (const auto& [name, value] : *object) {
    if (!is_bundle_name(name)) {
      reader.fail("slots", "has a slot with a name that is none");
      return;
    }
    directive.slots.emplace(name, read_slot(value, reader.path_of("slots") + "." + name, failure));
  }
}

void read_blobs(ObjectReader& reader, BundleDirective& directive) {
  const Json* blobs = reader.member("blobs");
  const Json::Object* object = blobs == nullptr ? nullptr : blobs->object();
  if (object == nullptr || object->empty() || object->size() > BundleLimits::kBlobs) {
    reader.fail("blobs", "must be an object of 1 to 16384 digests");
    return;
  }
  std::uint64_t total = 0;
  for (const auto& [name, value] : *object) {
    const auto digest = Digest::parse(name);
    const auto size = value.as_int();
    if (!digest || digest->to_string() != name || !size || *size < 0 || *size > kLargestInteger) {
      reader.fail("blobs", "must give each sha256 digest its size");
      return;
    }
    directive.blobs.emplace(*digest, static_cast<std::uint64_t>(*size));
    total += static_cast<std::uint64_t>(*size);
    if (total > BundleLimits::kTotalBytes) {
      reader.fail("blobs", "are too large together");
      return;
    }
  }
}

// Each slot's manifest is one of the blobs.
void check_manifests(ObjectReader& reader, const BundleDirective& directive) {
  for (const auto& [name, slot] : directive.slots) {
    const auto blob = directive.blobs.find(slot.manifest);
    if (blob == directive.blobs.end() || blob->second != slot.manifest_size) {
      reader.fail("slots." + name, "names a manifest that is not among the blobs");
      return;
    }
  }
}

Error not_listed(std::string_view name) {
  return {Error::Code::kMetadataMismatch,
          "the bundle holds " + std::string{name} +
              ", which its signed directive does not list; copy the bundle again"};
}

}  // namespace

Result<BundleDirective> BundleDirective::parse(std::string_view json) {
  const auto document = Json::parse(json, JsonLimits{BundleLimits::kBytes, 8});
  if (!document) {
    return document.error().with_context("bundle.json");
  }
  Failure failure{Error::Code::kParse, "bundle.json"};
  ObjectReader reader{&*document, "", failure};
  BundleDirective directive;
  reader.integer("format", kBundleFormat, kBundleFormat);
  directive.id = reader.text("id", 64);
  if (!failure.failed() && !is_bundle_name(directive.id)) {
    reader.fail("id", "must be 1 to 64 of [a-z0-9._-]");
  }
  directive.sequence = static_cast<std::uint64_t>(reader.integer("sequence", 1, kLargestInteger));
  directive.devices = reader.texts("devices", BundleLimits::kDevices, BundleLimits::kTextBytes);
  for (const std::string& pattern : directive.devices) {
    if (!is_device_pattern(pattern)) {
      reader.fail("devices", "has a pattern that is none");
    }
  }
  if (reader.has("not_after")) {
    const auto end = parse_rfc3339(reader.text("not_after", 64));
    // To the second, and within the years that the form can say.
    if (end && parse_rfc3339(to_rfc3339(*end)).value_or(WallTime{}) == *end) {
      directive.not_after = *end;
    } else {
      reader.fail("not_after", "must be a time in RFC 3339 form");
    }
  }
  read_slots(reader, directive, failure);
  read_blobs(reader, directive);
  if (!failure.failed()) {
    check_manifests(reader, directive);
  }
  reader.finish();
  if (failure.failed()) {
    return failure.error();
  }
  return directive;
}

std::string BundleDirective::serialise() const {
  Json::Object slots_json;
  for (const auto& [name, slot] : slots) {
    slots_json.emplace(name,
                       Json::Object{{"target", slot.target},
                                    {"manifest", slot.manifest.to_string()},
                                    {"size", slot.manifest_size}});
  }
  Json::Object blobs_json;
  for (const auto& [digest, size] : blobs) {
    blobs_json.emplace(digest.to_string(), size);
  }
  Json::Array devices_json;
  for (const std::string& pattern : devices) {
    devices_json.emplace_back(pattern);
  }
  Json::Object object{{"format", kBundleFormat},
                      {"id", id},
                      {"sequence", sequence},
                      {"devices", Json{std::move(devices_json)}},
                      {"slots", Json{std::move(slots_json)}},
                      {"blobs", Json{std::move(blobs_json)}}};
  if (not_after) {
    object.emplace("not_after", to_rfc3339(*not_after));
  }
  return Json{std::move(object)}.dump();
}

std::uint64_t BundleDirective::total_bytes() const {
  std::uint64_t total = 0;
  for (const auto& [digest, size] : blobs) {
    total += size;
  }
  return total;
}

bool BundleDirective::is_for(const std::vector<std::string>& names) const {
  for (const std::string& pattern : devices) {
    for (const std::string& name : names) {
      // As in delegations, '*' does not cross a '/'; names of devices have none.
      if (!name.empty() && security::tuf::matches_path_pattern(pattern, name)) {
        return true;
      }
    }
  }
  return false;
}

Result<void> check_bundle_files(FileSystem& fs,
                                const OciLayout& layout,
                                const BundleDirective& directive) {
  const auto names = fs.list(layout.folder() / "blobs" / "sha256");
  if (!names) {
    return names.error().with_context("the bundle's blobs");
  }
  for (const std::string& name : *names) {
    const auto digest = Digest::from_hex(name);
    if (!digest || digest->hex() != name || !directive.blobs.contains(*digest)) {
      return not_listed("the blob " + name.substr(0, 80));
    }
  }
  for (const auto& [digest, size] : directive.blobs) {
    const auto status = fs.status(layout.path_of(digest));
    if (!status) {
      return status.error().with_context("the bundle lacks a blob");
    }
    if (status->is_directory || status->size != size) {
      return Error{Error::Code::kSizeMismatch,
                   "the bundle's blob " + digest.to_string() + " has " +
                       std::to_string(status->size) + " bytes, the signed directive says " +
                       std::to_string(size) + "; copy the bundle again"};
    }
  }
  const auto inner = fs.list(layout.folder() / "skerry-bundle");
  if (!inner) {
    return inner.error();
  }
  for (const std::string& name : *inner) {
    if (name != "bundle.json" && name != "image" && name != "offline") {
      return not_listed("skerry-bundle/" + name.substr(0, 80));
    }
  }
  return {};
}

Result<OciDescriptor> add_model(OciLayoutWriter& writer,
                                const Manifest& manifest,
                                std::string_view manifest_bytes,
                                const std::filesystem::path& blobs,
                                std::map<Digest, std::uint64_t>& added) {
  const auto document = parse_oci_manifest(manifest_bytes);
  if (!document) {
    return document.error();
  }
  const auto keep = [&added](const Result<OciDescriptor>& blob) -> Result<void> {
    if (!blob) {
      return blob.error();
    }
    added.insert_or_assign(blob->digest, blob->size);
    return {};
  };
  if (document->config.data) {
    if (auto ok = keep(writer.add(document->config.media_type, *document->config.data)); !ok) {
      return ok.error();
    }
  }
  for (const ManifestFile& file : manifest.all_files()) {
    for (const Digest& digest : {file.digest, file.chunks}) {
      if (added.contains(digest)) {
        continue;
      }
      if (auto ok = keep(
              writer.add_file("application/octet-stream", blobs / "sha256" / digest.hex(), digest));
          !ok) {
        return ok.error().with_context(manifest.target_path() + ": " + file.name);
      }
    }
  }
  auto listed = writer.add(std::string{kOciManifestType}, manifest_bytes);
  if (auto ok = keep(listed); !ok) {
    return ok.error();
  }
  listed->artifact_type = kManifestArtifactType;
  return listed;
}

}  // namespace skerry::registry
