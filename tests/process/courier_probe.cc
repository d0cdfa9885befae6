// Sends one parcel to a group by its id, as a client may that was never given the group by name,
// and prints what came of it: courier-probe ADDRESS TOKEN-FILE GROUP-ID INCARNATION
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>
#include <kj/encoding.h>

#include "flotilla/result.h"
#include "schemas/client.capnp.h"

namespace {

namespace schema = flotilla::schema;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"  // Cap'n Proto's servers have none
class Receiver final : public schema::CourierReceiver::Server {
public:
  explicit Receiver(kj::Own<kj::PromiseFulfiller<std::string>> told) : told_(kj::mv(told)) {}

protected:
  kj::Promise<void> deliver(DeliverContext context) override {
    for (auto answer : context.getParams().getAnswers()) {
      if (!answer.isFault() && answer.getOutcomes()[0].isAnswer()) {
        told_->fulfill("outcomes ok");
        continue;
      }
      auto fault = answer.isFault() ? answer.getFault() : answer.getOutcomes()[0].getFault();
      std::string words = answer.isFault() ? "fault " : "outcomes ";
      words += nameOf(static_cast<flotilla::ErrorCode>(fault.getCode()));
      words += std::string(" ") + fault.getText().cStr();
      told_->fulfill(kj::mv(words));
    }
    return kj::READY_NOW;
  }

private:
  kj::Own<kj::PromiseFulfiller<std::string>> told_;
};
#pragma GCC diagnostic pop

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) return 2;
  auto params = kj::decodeHex(kj::StringPtr(argv[7]));
  std::string token;
  std::getline(std::ifstream(argv[2]), token);
  try {
    kj::AsyncIoContext io = kj::setupAsyncIo();
    auto address = io.provider->getNetwork().parseAddress(argv[1]).wait(io.waitScope);
    auto stream = address->connect().wait(io.waitScope);
    capnp::TwoPartyClient rpc(*stream);
    auto login = rpc.bootstrap().castAs<schema::Gate>().loginRequest();
    login.setToken(token.c_str());
    auto session = login.send().wait(io.waitScope);
    auto told = kj::newPromiseAndFulfiller<std::string>();
    auto open = session.getSession().getHost().openCourierRequest();
    open.setReceiver(kj::heap<Receiver>(kj::mv(told.fulfiller)));
    auto courier = open.send().wait(io.waitScope).getCourier();
    auto submit = courier.submitRequest();
    auto parcel = submit.initParcels(1)[0];
    parcel.setNumber(1);
    parcel.setGroup(std::strtoull(argv[3], nullptr, 10));
    parcel.setIncarnation(std::strtoull(argv[4], nullptr, 10));
    auto command = parcel.initCommands(1)[0];
    command.setInterfaceId(std::strtoull(argv[5], nullptr, 16));
    command.setMethod(static_cast<uint16_t>(std::strtoul(argv[6], nullptr, 10)));
    command.setParams(params);
    submit.send().wait(io.waitScope);
    std::printf("%s\n", told.promise.wait(io.waitScope).c_str());
    return 0;
  } catch (const kj::Exception& exception) {
    std::printf("exception %s\n", exception.getDescription().cStr());
    return 1;
  }
}
