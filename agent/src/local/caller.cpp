#include "skerry/agent/caller.hpp"

#include <array>
#include <cerrno>
#include <grp.h>
#include <optional>
#include <pwd.h>
#include <vector>

#include <sys/socket.h>
#include <sys/types.h>

namespace skerry::agent {
namespace {

constexpr std::size_t kNameBuffer = 16384;
// What the kernel allows a process to be in.
constexpr std::size_t kMaxGroups = 65536;

std::string user_name(uid_t uid) {
  std::array<char, kNameBuffer> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return {};
  }
  return found->pw_name;
}

std::string group_name(gid_t gid) {
  std::array<char, kNameBuffer> buffer{};
  group entry{};
  group* found = nullptr;
  if (::getgrgid_r(gid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return {};
  }
  return found->gr_name;
}

// Supplementary groups; empty on kernels without SO_PEERGROUPS (before 4.13).
Result<std::vector<gid_t>> peer_groups(int fd) {
  std::vector<gid_t> groups(64);
  while (true) {
    socklen_t size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
      groups.resize(size / sizeof(gid_t));
      return groups;
    }
    if (errno == ERANGE && groups.size() < kMaxGroups) {
      groups.resize(groups.size() * 4);
      continue;
    }
    if (errno == ENOPROTOOPT || errno == ENODATA) {
      return std::vector<gid_t>{};
    }
    return errno_error(errno, "SO_PEERGROUPS");
  }
}

}  // namespace

Result<Caller> peer_credentials(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return errno_error(errno, "SO_PEERCRED");
  }
  Result<std::vector<gid_t>> supplementary = peer_groups(fd);
  if (!supplementary) {
    return supplementary.error();
  }
  std::vector<std::uint32_t> gids{credentials.gid};
  for (const gid_t gid : *supplementary) {
    if (gid != credentials.gid) {
      gids.push_back(gid);
    }
  }
  Caller caller;
  caller.principal =
      security::Principal::local(credentials.uid, std::move(gids), user_name(credentials.uid));
  for (const std::uint32_t gid : caller.principal.gids) {
    if (std::string name = group_name(gid); !name.empty()) {
      caller.principal.groups.push_back(std::move(name));
    }
  }
  caller.authn_method = "peercred";
  return caller;
}

Result<std::uint32_t> find_group(const std::string& name) {
  std::array<char, kNameBuffer> buffer{};
  group entry{};
  group* found = nullptr;
  const int failed = ::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (failed != 0 || found == nullptr) {
    return Error{Error::Code::kNotFound, "there is no group \"" + name + "\""};
  }
  return found->gr_gid;
}

}  // namespace skerry::agent
