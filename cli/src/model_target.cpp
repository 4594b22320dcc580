#include "skerry/cli/model_target.hpp"

#include <filesystem>

#include "skerry/cli/key_files.hpp"
#include "skerry/common/clock.hpp"

namespace skerry::cli {

namespace tuf = security::tuf;

Result<ModelTarget> load_model_target(FileSystem& fs, const std::string& path) {
  std::filesystem::path file = path;
  const auto status = fs.status(file);
  if (!status) {
    return status.error();
  }
  if (status->is_directory) {
    file /= "manifest.json";
  }
  auto bytes = read_file(fs, file, registry::ManifestLimits::kBytes);
  if (!bytes) {
    return bytes.error();
  }
  auto manifest = registry::Manifest::parse(*bytes);
  if (!manifest) {
    return manifest.error().with_context(file.string());
  }
  const auto canonical = manifest->serialise();
  if (!canonical) {
    return canonical.error().with_context(file.string());
  }
  if (*canonical != *bytes) {
    return Error{Error::Code::kManifestInvalid,
                 file.string() + " is not in canonical form: make it with `skerry model pack`"};
  }
  ModelTarget target;
  target.path = manifest->target_path();
  target.file.length = bytes->size();
  target.file.hashes["sha256"] = Digest::of(*bytes).hex();
  target.file.custom = Json{Json::Object{{"type", "model-manifest"},
                                         {"release_counter", manifest->release_counter},
                                         {"min_agent", "0.1.0"}}};
  target.manifest = std::move(*manifest);
  target.bytes = std::move(*bytes);
  return target;
}

Result<void> set_not_after(ModelTarget& target, const std::string& text) {
  constexpr std::size_t kDate = 10;
  if (text.empty()) {
    return {};
  }
  std::string whole = text;
  if (whole.size() == kDate) {
    whole += "T00:00:00Z";
  }
  const auto end = parse_rfc3339(whole);
  if (!end) {
    return Error{
        Error::Code::kInvalidArgument,
        "--not-after takes a date as 2027-06-30, or 2027-06-30T12:00:00Z; got \"" + text + "\""};
  }
  Json::Object custom;
  if (const auto* known = target.file.custom.object()) {
    custom = *known;
  }
  custom["not_after"] = to_rfc3339(*end);
  target.file.custom = Json{std::move(custom)};
  return {};
}

Result<std::vector<std::string>> sign_staged(FileSystem& fs,
                                             tuf::Repository& repository,
                                             const std::vector<tuf::RoleName>& roles,
                                             const std::vector<std::string>& keys) {
  std::vector<std::string> lines;
  for (const std::string& text : keys) {
    const auto signer = load_signer(fs, text);
    if (!signer) {
      return signer.error();
    }
    bool used = false;
    for (const tuf::RoleName& role : roles) {
      const auto done = repository.sign(role, **signer);
      if (done) {
        used = true;
        lines.push_back(role.text() + ": signed by " +
                        (*signer)->public_key().key_id().substr(0, 16) + " (" + text + ")");
      } else if (done.error().code() != Error::Code::kPermissionDenied &&
                 done.error().code() != Error::Code::kFailedPrecondition) {
        return done.error();
      }
    }
    if (!used) {
      return Error{Error::Code::kPermissionDenied,
                   text + ": nothing is staged that this key may sign (skerry repo status)"};
    }
  }
  return lines;
}

}  // namespace skerry::cli
