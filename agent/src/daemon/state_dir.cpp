#include "state_dir.hpp"

#include <cerrno>
#include <fcntl.h>
#include <string>
#include <unistd.h>
#include <utility>

#include <sys/file.h>

namespace skerry::agent {

Result<StateDir> StateDir::open(FileSystem& fs, const std::filesystem::path& path) {
  for (const auto& folder : {path, path / "keys", path / "audit", path / "staging"}) {
    if (Result<void> made = fs.create_directories(folder, 0750); !made) {
      return made.error().with_context(folder.string());
    }
  }
  const std::filesystem::path file = path / "skerryd.lock";
  UniqueFd lock{::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640)};
  if (!lock) {
    return errno_error(errno, file.string());
  }
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return Error{Error::Code::kUnavailable,
                   path.string() +
                       " is in use by another skerryd; stop it first, or give this "
                       "one a state_dir of its own"};
    }
    return errno_error(errno, file.string());
  }
  return StateDir{path, std::move(lock)};
}

Result<std::unique_ptr<security::Signer>> StateDir::key(FileSystem& fs,
                                                        std::string_view name,
                                                        security::KeyAlgorithm algorithm) const {
  const std::filesystem::path file = path_ / "keys" / (std::string{name} + ".pem");
  Result<security::KeyUri> uri = security::KeyUri::parse("file:" + file.string());
  if (!uri) {
    return uri.error();
  }
  return security::open_or_create_key(fs, *uri, algorithm);
}

}  // namespace skerry::agent
