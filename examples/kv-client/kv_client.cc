// A C++ client of the plugin kv: typed calls, many at once, and errors.
//
//   kv-client 127.0.0.1:7400,127.0.0.1:7401 playground/client.token GROUP put KEY VALUE
//   kv-client …                                                     GROUP get KEY
//   kv-client …                                                     GROUP fill COUNT
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

#include <kj/async-io.h>

#include "kv.capnp.h"
#include "sdk/client/client.h"
#include "sdk/client/fault_text.h"

namespace {

namespace client = flotilla::client;

client::ClientOptions optionsFrom(const std::string& addresses, const std::string& tokenFile) {
  client::ClientOptions options;
  std::istringstream list(addresses);
  for (std::string address; std::getline(list, address, ',');) options.addresses.push_back(address);
  std::ifstream file(tokenFile);
  std::getline(file, options.token);
  return options;
}

kj::Promise<void> put(Kv::Client& kv, const std::string& key, const std::string& value) {
  auto request = kv.putRequest();
  request.setKey(key);
  request.setValue(kj::StringPtr(value.c_str(), value.size()).asBytes());
  return request.send().ignoreResult();
}

// All calls at once: the client packs them into batches, and each is carried out exactly once, also
// when hosts die while they are under way.
void fill(Kv::Client& kv, uint64_t count, kj::WaitScope& scope) {
  auto puts = kj::heapArrayBuilder<kj::Promise<void>>(count);
  for (uint64_t i = 0; i < count; ++i) {
    puts.add(put(kv, "key" + std::to_string(i), std::to_string(i)));
  }
  kj::joinPromises(puts.finish()).wait(scope);
  std::cout << "put " << count << " keys\n";
}

int run(int argc, char** argv) {
  std::string verb = argv[4];
  kj::AsyncIoContext io = kj::setupAsyncIo();
  client::Client cluster(io, optionsFrom(argv[1], argv[2]));
  Kv::Client kv = cluster.group(argv[3])->as<Kv>();

  if (verb == "put" && argc == 7) {
    put(kv, argv[5], argv[6]).wait(io.waitScope);
  } else if (verb == "get" && argc == 6) {
    auto request = kv.getRequest();
    request.setKey(argv[5]);
    auto response = request.send().wait(io.waitScope);
    if (!response.getFound()) {
      std::cerr << argv[5] << ": no such key\n";
      return 1;
    }
    auto value = response.getValue().asChars();
    std::cout.write(value.begin(), static_cast<std::streamsize>(value.size())) << "\n";
  } else if (verb == "fill" && argc == 6) {
    fill(kv, std::strtoull(argv[5], nullptr, 10), io.waitScope);
  } else {
    std::cerr << verb << ": not a call of this example; use put, get or fill\n";
    return 2;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) {
    std::cerr
        << "usage: kv-client HOST:PORT[,…] TOKEN_FILE GROUP put KEY VALUE | get KEY | fill COUNT\n";
    return 2;
  }
  int exit = 1;
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&]() { exit = run(argc, argv); })) {
    // Every refusal says by its code what it is; maybeDone tells whether to ask what became of it.
    flotilla::Fault fault = client::faultOf(*exception);
    std::cerr << nameOf(fault.code) << ": " << fault.text << "\n";
    return flotilla::maybeDone(fault.code) ? 4 : 1;
  }
  return exit;
}
