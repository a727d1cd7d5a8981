ip route replace 10.244.1.0/24 via 172.17.94.121
