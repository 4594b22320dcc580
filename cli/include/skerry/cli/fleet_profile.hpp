#pragma once

// Which controller, and as whom: the profile of `skerry fleet`. From options, else a TOML file:
//
//   controller = "fleet.example:7443"
//   cert = "operator.crt"        # relative to this file
//   key = "operator.key"         # file, mode 0600
//   ca = "ca.crt"
//   server_name = "skerry-controller"   # if the certificate says another name
//
// The file: --profile, else $SKERRY_FLEET_CONFIG, else ~/.config/skerry/fleet.toml.

#include <filesystem>
#include <map>
#include <string>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry::cli {

struct FleetProfile {
  std::string controller;
  std::string cert;
  std::string key;
  std::string ca;
  std::string server_name;
};

// What was given on the command line; empty fields were not.
struct FleetArguments {
  FleetProfile profile;
  std::string file;
  // A folder with operator.crt, operator.key and ca.crt, as the controller makes for its first
  // operator.
  std::string operator_folder;
};

// Options win over the folder, the folder over the file. kConfigInvalid names what is missing and
// how to give it; no file is fine when the options are complete.
Result<FleetProfile> resolve_profile(FileSystem& fs,
                                     const FleetArguments& arguments,
                                     const std::map<std::string, std::string>& environment);

}  // namespace skerry::cli
