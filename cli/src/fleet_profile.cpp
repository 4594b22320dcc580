#include "skerry/cli/fleet_profile.hpp"

#include <utility>

#include "skerry/common/toml_reader.hpp"

namespace skerry::cli {
namespace {

std::string variable(const std::map<std::string, std::string>& environment,
                     const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

std::filesystem::path profile_file(const FleetArguments& arguments,
                                   const std::map<std::string, std::string>& environment) {
  if (!arguments.file.empty()) {
    return arguments.file;
  }
  if (const std::string file = variable(environment, "SKERRY_FLEET_CONFIG"); !file.empty()) {
    return file;
  }
  std::filesystem::path config = variable(environment, "XDG_CONFIG_HOME");
  if (config.empty()) {
    const std::string home = variable(environment, "HOME");
    if (home.empty()) {
      return {};
    }
    config = std::filesystem::path{home} / ".config";
  }
  return config / "skerry" / "fleet.toml";
}

Result<FleetProfile> load_file(FileSystem& fs, const std::filesystem::path& path) {
  auto reader = TomlReader::load(fs, path);
  if (!reader) {
    return reader.error();
  }
  FleetProfile profile;
  TomlTable root = reader->root();
  root.read("controller", profile.controller);
  root.read("cert", profile.cert);
  root.read("key", profile.key);
  root.read("ca", profile.ca);
  root.read("server_name", profile.server_name);
  if (auto done = reader->finish(); !done) {
    return done.error();
  }
  for (std::string* file : {&profile.cert, &profile.key, &profile.ca}) {
    if (!file->empty() && file->front() != '/' && file->find(':') == std::string::npos) {
      *file = (path.parent_path() / *file).string();
    }
  }
  return profile;
}

void fill(std::string& field, const std::string& fallback) {
  if (field.empty()) {
    field = fallback;
  }
}

}  // namespace

Result<FleetProfile> resolve_profile(FileSystem& fs,
                                     const FleetArguments& arguments,
                                     const std::map<std::string, std::string>& environment) {
  FleetProfile profile = arguments.profile;
  if (!arguments.operator_folder.empty()) {
    const std::filesystem::path folder = arguments.operator_folder;
    fill(profile.cert, (folder / "operator.crt").string());
    fill(profile.key, (folder / "operator.key").string());
    fill(profile.ca, (folder / "ca.crt").string());
  }
  const bool complete = !profile.controller.empty() && !profile.cert.empty() &&
                        !profile.key.empty() && !profile.ca.empty();
  if (!complete) {
    const auto file = profile_file(arguments, environment);
    const bool asked_for = !arguments.file.empty();
    if (!file.empty() && (asked_for || fs.exists(file))) {
      const auto stored = load_file(fs, file);
      if (!stored) {
        return stored.error();
      }
      fill(profile.controller, stored->controller);
      fill(profile.cert, stored->cert);
      fill(profile.key, stored->key);
      fill(profile.ca, stored->ca);
      fill(profile.server_name, stored->server_name);
    }
  }
  const std::pair<const char*, const std::string&> needed[] = {{"controller", profile.controller},
                                                               {"cert", profile.cert},
                                                               {"key", profile.key},
                                                               {"ca", profile.ca}};
  for (const auto& [name, value] : needed) {
    if (value.empty()) {
      return Error{Error::Code::kConfigInvalid,
                   std::string{"which controller? "} + name + " is missing: give --" + name +
                       ", or write ~/.config/skerry/fleet.toml with controller, cert, key and ca"};
    }
  }
  return profile;
}

}  // namespace skerry::cli
