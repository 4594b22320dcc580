#include "skerry/registry/oci_image.hpp"

#include <utility>

namespace skerry::registry {
namespace {

constexpr std::int64_t kOciSchema = 2;
constexpr std::int64_t kLargestBlob = std::int64_t{1} << 46;

Error oci_bad(Error::Code code, const std::string& path, std::string_view why) {
  return {code, path + ": " + std::string{why}};
}

// Reads members of one object; the first failure sticks.
class OciReader {
 public:
  OciReader(const Json& value, std::string path) : value_(value), path_(std::move(path)) {
    if (!value.is_object()) {
      fail("", "must be an object");
    }
  }

  std::string text(std::string_view key, bool required) {
    const Json* member = value_.find(key);
    if (member == nullptr || member->is_null()) {
      if (required) {
        fail(key, "is missing");
      }
      return {};
    }
    if (member->string() == nullptr) {
      fail(key, "must be a text");
      return {};
    }
    if (member->string()->size() > OciLimits::kTextBytes) {
      fail(key, "is too long", Error::Code::kTooLarge);
      return {};
    }
    return *member->string();
  }

  OciAnnotations annotations() {
    OciAnnotations result;
    const Json* member = value_.find("annotations");
    if (member == nullptr || member->is_null()) {
      return result;
    }
    const Json::Object* object = member->object();
    if (object == nullptr) {
      fail("annotations", "must be an object");
      return result;
    }
    if (object->size() > OciLimits::kAnnotations) {
      fail("annotations", "has too many members", Error::Code::kTooLarge);
      return result;
    }
    for (const auto& [key, text] : *object) {
      if (text.string() == nullptr) {
        fail("annotations." + key, "must be a text");
        return result;
      }
      if (key.size() + text.string()->size() > OciLimits::kTextBytes) {
        fail("annotations", "has a member that is too long", Error::Code::kTooLarge);
        return result;
      }
      result.emplace(key, *text.string());
    }
    return result;
  }

  void fail(std::string_view key, std::string_view why, Error::Code code = Error::Code::kParse) {
    if (!error_) {
      error_ = oci_bad(code, key.empty() ? path_ : path_ + "." + std::string{key}, why);
    }
  }
  void fail(const Error& error) {
    if (!error_) {
      error_ = error;
    }
  }
  [[nodiscard]] const Json& value() const { return value_; }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] std::string path_of(std::string_view key) const {
    return path_ + "." + std::string{key};
  }

 private:
  const Json& value_;
  std::string path_;
  std::optional<Error> error_;
};

Result<std::string> embedded_data(const Json& value, const OciDescriptor& of) {
  if (value.string() == nullptr) {
    return Error{Error::Code::kParse, "must be base64 text"};
  }
  if (of.size > OciLimits::kDataBytes ||
      value.string()->size() > OciLimits::kDataBytes * 4 / 3 + 4) {
    return Error{Error::Code::kTooLarge, "has too many bytes"};
  }
  const auto bytes = from_base64(*value.string());
  if (!bytes) {
    return bytes.error();
  }
  if (bytes->size() != of.size || Digest::of(*bytes) != of.digest) {
    return Error{Error::Code::kDigestMismatch, "is not what size and digest say"};
  }
  return std::string{as_text(*bytes)};
}

Result<OciDescriptor> read_descriptor(const Json& value, const std::string& path) {
  OciReader reader{value, path};
  OciDescriptor result;
  result.media_type = reader.text("mediaType", true);
  result.artifact_type = reader.text("artifactType", false);
  result.annotations = reader.annotations();
  const std::string digest = reader.text("digest", true);
  if (!reader.error()) {
    // One spelling alone (the grammar is lower case): a digest is a file's name too.
    const auto parsed = Digest::parse(digest);
    if (parsed && parsed->to_string() == digest) {
      result.digest = *parsed;
    } else if (digest.find(':') != std::string::npos && !digest.starts_with("sha256:")) {
      reader.fail("digest", "only sha256 is supported", Error::Code::kUnimplemented);
    } else {
      reader.fail("digest", "must be sha256: and 64 hexadecimal digits");
    }
  }
  const auto size = value.get_int("size");
  if (!size || *size < 0 || *size > kLargestBlob) {
    reader.fail("size", "must be a number of bytes");
  } else {
    result.size = static_cast<std::uint64_t>(*size);
  }
  if (const Json* platform = value.find("platform"); platform != nullptr && !platform->is_null()) {
    OciReader inner{*platform, reader.path_of("platform")};
    OciPlatform read{inner.text("os", false), inner.text("architecture", false), ""};
    read.variant = inner.text("variant", false);
    if (inner.error()) {
      reader.fail(*inner.error());
    }
    result.platform = std::move(read);
  }
  const Json* data = value.find("data");
  if (data != nullptr && !data->is_null() && !reader.error()) {
    auto content = embedded_data(*data, result);
    if (content) {
      result.data = *std::move(content);
    } else {
      reader.fail(content.error().with_context(reader.path_of("data")));
    }
  }
  if (reader.error()) {
    return *reader.error();
  }
  return result;
}

std::vector<OciDescriptor> descriptors(OciReader& reader, std::string_view key) {
  std::vector<OciDescriptor> result;
  const Json* member = reader.value().find(key);
  const Json::Array* list = member == nullptr ? nullptr : member->array();
  if (list == nullptr) {
    reader.fail(key, "must be a list");
    return result;
  }
  if (list->size() > OciLimits::kDescriptors) {
    reader.fail(key, "has too many entries", Error::Code::kTooLarge);
    return result;
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    auto one = read_descriptor((*list)[i], reader.path_of(key) + "[" + std::to_string(i) + "]");
    if (!one) {
      reader.fail(one.error());
      return result;
    }
    result.push_back(*std::move(one));
  }
  return result;
}

Result<Json> oci_document(std::string_view json) {
  JsonLimits limits;
  limits.bytes = OciLimits::kJsonBytes;
  return Json::parse(json, limits);
}

void check_schema(OciReader& reader) {
  const auto version = reader.value().get_int("schemaVersion");
  if (!version || *version != kOciSchema) {
    reader.fail("schemaVersion", "must be 2");
  }
}

Json annotations_json(const OciAnnotations& annotations) {
  Json::Object object;
  for (const auto& [key, value] : annotations) {
    object.emplace(key, value);
  }
  return Json{std::move(object)};
}

Json list_json(const std::vector<OciDescriptor>& list) {
  Json::Array array;
  for (const OciDescriptor& descriptor : list) {
    array.push_back(descriptor.to_json());
  }
  return Json{std::move(array)};
}

void put_text(Json::Object& object, const char* key, const std::string& text) {
  if (!text.empty()) {
    object.emplace(key, text);
  }
}

}  // namespace

std::string OciDescriptor::annotation(std::string_view key) const {
  const auto found = annotations.find(key);
  return found == annotations.end() ? std::string{} : found->second;
}

Json OciDescriptor::to_json() const {
  Json::Object object{{"mediaType", media_type}, {"digest", digest.to_string()}, {"size", size}};
  put_text(object, "artifactType", artifact_type);
  if (!annotations.empty()) {
    object.emplace("annotations", annotations_json(annotations));
  }
  if (platform) {
    Json::Object inner{{"architecture", platform->architecture}, {"os", platform->os}};
    put_text(inner, "variant", platform->variant);
    object.emplace("platform", Json{std::move(inner)});
  }
  if (data) {
    object.emplace("data", to_base64(as_bytes(*data)));
  }
  return Json{std::move(object)};
}

std::string OciIndex::serialise() const {
  Json::Object object{{"schemaVersion", kOciSchema},
                      {"mediaType", kOciIndexType},
                      {"manifests", list_json(manifests)}};
  put_text(object, "artifactType", artifact_type);
  if (!annotations.empty()) {
    object.emplace("annotations", annotations_json(annotations));
  }
  return Json{std::move(object)}.dump();
}

std::string OciManifest::serialise() const {
  Json::Object object{
      {"schemaVersion", kOciSchema}, {"config", config.to_json()}, {"layers", list_json(layers)}};
  put_text(object, "mediaType", media_type);
  put_text(object, "artifactType", artifact_type);
  if (subject) {
    object.emplace("subject", subject->to_json());
  }
  if (!annotations.empty()) {
    object.emplace("annotations", annotations_json(annotations));
  }
  return Json{std::move(object)}.dump();
}

Result<OciIndex> parse_oci_index(std::string_view json) {
  const auto document = oci_document(json);
  if (!document) {
    return document.error();
  }
  OciReader reader{*document, "index"};
  check_schema(reader);
  const std::string type = reader.text("mediaType", false);
  if (!type.empty() && type != kOciIndexType && type != kDockerListType) {
    reader.fail("mediaType", "is not that of an image index");
  }
  OciIndex result;
  result.artifact_type = reader.text("artifactType", false);
  result.annotations = reader.annotations();
  result.manifests = descriptors(reader, "manifests");
  if (reader.error()) {
    return *reader.error();
  }
  return result;
}

Result<OciManifest> parse_oci_manifest(std::string_view json) {
  const auto document = oci_document(json);
  if (!document) {
    return document.error();
  }
  OciReader reader{*document, "manifest"};
  check_schema(reader);
  OciManifest result;
  result.media_type = reader.text("mediaType", false);
  if (!result.media_type.empty() && result.media_type != kOciManifestType &&
      result.media_type != kDockerManifestType) {
    reader.fail("mediaType", "is not that of an image manifest");
  }
  result.artifact_type = reader.text("artifactType", false);
  result.annotations = reader.annotations();
  result.layers = descriptors(reader, "layers");
  if (const Json* config = document->find("config"); config != nullptr) {
    auto read = read_descriptor(*config, "manifest.config");
    if (read) {
      result.config = *std::move(read);
    } else {
      reader.fail(read.error());
    }
  } else {
    reader.fail("config", "is missing");
  }
  if (const Json* subject = document->find("subject"); subject != nullptr && !subject->is_null()) {
    auto read = read_descriptor(*subject, "manifest.subject");
    if (read) {
      result.subject = *std::move(read);
    } else {
      reader.fail(read.error());
    }
  }
  if (reader.error()) {
    return *reader.error();
  }
  return result;
}

Result<void> check_oci_marker(std::string_view json) {
  const auto document = Json::parse(json, JsonLimits{OciLimits::kMarkerBytes, 4});
  if (!document) {
    return document.error().with_context("oci-layout");
  }
  const auto version = document->get_string("imageLayoutVersion");
  if (!version) {
    return version.error().with_context("oci-layout");
  }
  if (!version->starts_with("1.")) {
    return Error{Error::Code::kParse,
                 "oci-layout: imageLayoutVersion " + version->substr(0, 32) +
                     " is not one that is understood (1.0.0)"};
  }
  return {};
}

std::string oci_marker() {
  return R"({"imageLayoutVersion":"1.0.0"})";
}

}  // namespace skerry::registry
