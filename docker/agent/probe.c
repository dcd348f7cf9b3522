/* Connects to HOST at PORT and prints how long it took, in milliseconds.
 * Exits with 1 if the connection fails or takes more than five seconds. */
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static double milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static int open_connection(const struct addrinfo *address)
{
    int connection = socket(address->ai_family, address->ai_socktype, address->ai_protocol);
    struct timeval limit = {.tv_sec = 5};

    if (connection < 0)
        return -1;
    setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(connection, address->ai_addr, address->ai_addrlen) == 0)
        return connection;
    close(connection);
    return -1;
}

int main(int argc, char **argv)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses;
    double start = milliseconds();

    if (argc != 3) {
        fprintf(stderr, "usage: probe HOST PORT\n");
        return 2;
    }
    if (getaddrinfo(argv[1], argv[2], &hints, &addresses) != 0)
        return 1;
    for (const struct addrinfo *it = addresses; it != NULL; it = it->ai_next) {
        int connection = open_connection(it);
        if (connection >= 0) {
            printf("%.1f\n", milliseconds() - start);
            close(connection);
            freeaddrinfo(addresses);
            return 0;
        }
    }
    freeaddrinfo(addresses);
    return 1;
}
